#!/usr/bin/env python3
"""Runs the conformance checks on a plugin with each of its faults: the named check must fail.

    faults.py SLUICE_PLUGIN_TEST FAULTY_PLUGIN [FAULT-TO-LEAVE-OUT…]
"""

from __future__ import annotations

import subprocess
import sys

# fault -> the check that is there to find it
FINDS = {
    "none": None,
    "descriptor_leak": "create_destroy",
    "memory_leak": "create_destroy",
    "budget": "create_destroy",
    "secret_log": "secrets",
    "no_finding": "check",
    "unstable_discovery": "discover_twice",
    "visit_on": "visit_ends",
    "shard_id": "shards",
    "unknown_stream": "unknown_stream",
    "bad_batch": "read_twice",
    "after_end": "read_twice",
    "row_limit": "row_limit",
    "resume": "resume",
    "release": "release_late",
    "cancel": "cancel",
    "crash": "read_twice",
    "hang": "close_early",
}


def main() -> int:
    program, plugin = sys.argv[1:3]
    finds = {fault: check for fault, check in FINDS.items() if fault not in sys.argv[3:]}
    wrong = 0
    for fault, check in finds.items():
        # Only a fault that hangs is waited for; the others must not depend on a busy machine.
        seconds = "2" if fault in ("hang", "cancel") else "120"
        args = [program, plugin, "--set", f"fault={fault}", "--timeout", seconds]
        if check:
            args += ["--only", check]
        run = subprocess.run(args, capture_output=True, text=True)
        failed = [line.split()[1] for line in run.stdout.splitlines() if line.startswith("FAIL")]
        if (check in failed) != (check is not None) or run.returncode != (1 if check else 0):
            wrong += 1
            print(f"fault {fault}: expected {check} to fail, exit {run.returncode}\n{run.stdout}{run.stderr}")
    print(f"{len(finds) - wrong} of {len(finds)} faults are found")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
