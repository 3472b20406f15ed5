#!/usr/bin/env python3
"""Writes powers.c: 10^k as 128-bit fractions, rounded up, for k in [-292, 324]."""

import sys


def fraction(k: int) -> int:
    """ceil(10^k * 2^e) for the e that gives exactly 128 bits."""
    if k >= 0:
        value = 10**k
        shift = value.bit_length() - 128
        if shift <= 0:
            return value << -shift
        return -((-value) >> shift)
    power = 10**-k
    shift = power.bit_length() + 127
    value = -((-(1 << shift)) // power)
    if value.bit_length() > 128:
        shift -= 1
        value = -((-(1 << shift)) // power)
    return value


def main() -> None:
    out = [
        "/* Written by gen_powers.py. 10^k for k = -292 ... 324, scaled to 128 bits, rounded up. */",
        '#include "lake/floats.h"',
        "",
        "const struct sluice_lake_u128 sluice_lake_powers[617] = {",
    ]
    for k in range(-292, 325):
        value = fraction(k)
        assert value.bit_length() == 128, k
        out.append("    {UINT64_C(0x%016x), UINT64_C(0x%016x)}," % (value >> 64, value & (2**64 - 1)))
    out.append("};")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
