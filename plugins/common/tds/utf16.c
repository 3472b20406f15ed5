#include "tds/utf16.h"

#include <string.h>

#define NOT_ASCII 0xFF80FF80FF80FF80u

static uint32_t unit_at(const uint8_t *in, uint64_t i)
{
    return (uint32_t)in[2 * i] | (uint32_t)in[2 * i + 1] << 8;
}

/* Four units at a time while all are ASCII; answers how many units those were. */
static uint64_t copy_ascii(const uint8_t *in, uint64_t units, uint8_t *out)
{
    uint64_t i = 0;
    while (i + 4 <= units) {
        uint64_t four = 0;
        memcpy(&four, in + 2 * i, 8);
        if ((four & NOT_ASCII) != 0) {
            break;
        }
        /* 00dd00cc00bb00aa → ddccbbaa */
        four = (four | four >> 8) & 0x0000FFFF0000FFFFu;
        const uint32_t packed = (uint32_t)(four | four >> 16);
        memcpy(out + i, &packed, 4);
        i += 4;
    }
    return i;
}

static uint8_t *put_one(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (uint8_t)c;
    }
    else if (c < 0x800) {
        *out++ = (uint8_t)(0xC0 | c >> 6);
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    else if (c < 0x10000) {
        *out++ = (uint8_t)(0xE0 | c >> 12);
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    else {
        *out++ = (uint8_t)(0xF0 | c >> 18);
        *out++ = (uint8_t)(0x80 | (c >> 12 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        *out++ = (uint8_t)(0x80 | (c & 0x3F));
    }
    return out;
}

int64_t sluice_tds_utf16_to_utf8(const uint8_t *in, uint64_t units, uint8_t *out)
{
    uint8_t *to = out;
    uint64_t i = 0;
    while (i < units) {
        const uint64_t plain = copy_ascii(in + 2 * i, units - i, to);
        i += plain;
        to += plain;
        if (i == units) {
            break;
        }
        uint32_t c = unit_at(in, i++);
        if (c >= 0xD800 && c < 0xE000) {
            const uint32_t low = i < units ? unit_at(in, i) : 0;
            if (c >= 0xDC00 || low < 0xDC00 || low > 0xDFFF) {
                return -1;
            }
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            i++;
        }
        to = put_one(to, c);
    }
    return to - out;
}
