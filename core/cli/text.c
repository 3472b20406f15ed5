#include "text.h"

#include <string.h>

struct range {
    uint32_t first;
    uint32_t last;
};

/* Combining marks, joiners, variation selectors: they take no column of their own. */
static const struct range zero_width[] = {
    {0x0300, 0x036f},   {0x0483, 0x0489},   {0x0591, 0x05bd},   {0x05bf, 0x05c7}, {0x0610, 0x061a},
    {0x064b, 0x065f},   {0x0670, 0x0670},   {0x06d6, 0x06dc},   {0x06df, 0x06e4}, {0x06e7, 0x06e8},
    {0x06ea, 0x06ed},   {0x0711, 0x0711},   {0x0730, 0x074a},   {0x07a6, 0x07b0}, {0x0816, 0x082d},
    {0x0859, 0x085b},   {0x08d3, 0x0902},   {0x093a, 0x093a},   {0x093c, 0x093c}, {0x0941, 0x0948},
    {0x094d, 0x094d},   {0x0951, 0x0957},   {0x0e31, 0x0e31},   {0x0e34, 0x0e3a}, {0x0e47, 0x0e4e},
    {0x1ab0, 0x1aff},   {0x1dc0, 0x1dff},   {0x200b, 0x200d},   {0x2060, 0x2064}, {0x20d0, 0x20ff},
    {0x302a, 0x302d},   {0x3099, 0x309a},   {0xfe00, 0xfe0f},   {0xfe20, 0xfe2f}, {0xfeff, 0xfeff},
    {0x1f3fb, 0x1f3ff}, {0xe0001, 0xe007f}, {0xe0100, 0xe01ef},
};

/* East Asian wide and full-width characters, and emoji: two columns. */
static const struct range double_width[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},
    {0x23f0, 0x23f0},   {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},
    {0x2648, 0x2653},   {0x267f, 0x267f},   {0x2693, 0x2693},   {0x26a1, 0x26a1},
    {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},   {0x26ce, 0x26ce},
    {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},
    {0x2728, 0x2728},   {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},
    {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27b0, 0x27b0},   {0x27bf, 0x27bf},
    {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},   {0x2e80, 0x303e},
    {0x3041, 0x33ff},   {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},
    {0xa960, 0xa97f},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe10, 0xfe19},
    {0xfe30, 0xfe6f},   {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x16fe0, 0x18aff},
    {0x1b000, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e},
    {0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c},
    {0x1f37e, 0x1f393}, {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0},
    {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e}, {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc},
    {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567}, {0x1f57a, 0x1f57a},
    {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5},
    {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6d7}, {0x1f6dc, 0x1f6df},
    {0x1f6eb, 0x1f6ec}, {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7eb}, {0x1f7f0, 0x1f7f0},
    {0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945}, {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff},
    {0x20000, 0x3fffd},
};

static int in_ranges(uint32_t c, const struct range *ranges, size_t count)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (c > ranges[middle].last) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    return low < count && c >= ranges[low].first;
}

static size_t char_width(int32_t c)
{
    uint32_t u = (uint32_t)c;
    if (c < 0x300) {
        return 1;
    }
    if (in_ranges(u, zero_width, sizeof zero_width / sizeof zero_width[0])) {
        return 0;
    }
    return in_ranges(u, double_width, sizeof double_width / sizeof double_width[0]) ? 2 : 1;
}

int32_t sluice_cli_text_decode(const char *s, const char *end, size_t *size)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t left = (size_t)(end - s);
    size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    *size = 1;
    if (n == 1) {
        return p[0];
    }
    if (n == 0 || p[0] > 0xf4 || n > left) {
        return -1;
    }
    int32_t c = p[0] & (0xff >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return -1;
        }
        c = (c << 6) | (p[i] & 0x3f);
    }
    if ((n == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
        (n == 4 && (c < 0x10000 || c > 0x10ffff))) {
        return -1;
    }
    *size = n;
    return c;
}

/* Bytes of a colour sequence "\x1b[…m" at s, or 0. */
static size_t color_size(const char *s, const char *end)
{
    if (end - s < 3 || s[0] != '\033' || s[1] != '[') {
        return 0;
    }
    const char *p = s + 2;
    while (p < end && ((*p >= '0' && *p <= '9') || *p == ';')) {
        p++;
    }
    return p < end && *p == 'm' ? (size_t)(p - s) + 1 : 0;
}

size_t sluice_cli_text_width(const char *text)
{
    const char *end = text + strlen(text);
    size_t width = 0;
    while (text < end) {
        size_t size = color_size(text, end);
        if (size == 0) {
            width += char_width(sluice_cli_text_decode(text, end, &size));
        }
        text += size;
    }
    return width;
}

int sluice_cli_text_hostile(int32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069);
}

static void escape(struct sluice_str *out, const char *text, size_t length, int keep_lines,
                   size_t indent)
{
    const char *end = text + length;
    const char *plain = text;
    while (text < end) {
        size_t size = 1;
        int32_t c = sluice_cli_text_decode(text, end, &size);
        if (c >= 0 && !sluice_cli_text_hostile(c)) {
            text += size;
            continue;
        }
        sluice_str_append_n(out, plain, (size_t)(text - plain));
        if (c == '\n' && keep_lines) {
            sluice_str_append_char(out, '\n');
            sluice_cli_text_pad(out, indent);
        }
        else if (c == '\n' || c == '\r' || c == '\t') {
            sluice_str_append(out, c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t");
        }
        else if (c >= 0x100) {
            sluice_str_printf(out, "\\u%04x", (unsigned)c);
        }
        else {
            sluice_str_printf(out, "\\x%02x", (unsigned)(c < 0 ? (unsigned char)*text : c));
        }
        text += size;
        plain = text;
    }
    sluice_str_append_n(out, plain, (size_t)(text - plain));
}

void sluice_cli_text_escape(struct sluice_str *out, const char *text)
{
    escape(out, text, strlen(text), 0, 0);
}

void sluice_cli_text_escape_n(struct sluice_str *out, const char *text, size_t size)
{
    escape(out, text, size, 0, 0);
}

void sluice_cli_text_escape_lines(struct sluice_str *out, const char *text, size_t indent)
{
    size_t size = strlen(text);
    while (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    escape(out, text, size, 1, indent);
}

size_t sluice_cli_text_cut(struct sluice_str *out, const char *text, size_t width, int unicode)
{
    size_t whole = sluice_cli_text_width(text);
    if (whole <= width) {
        sluice_str_append(out, text);
        return whole;
    }
    if (width == 0) {
        return 0;
    }
    const char *end = text + strlen(text);
    const char *p = text;
    size_t used = 0;
    int colored = 0;
    while (p < end) {
        size_t size = color_size(p, end);
        size_t columns = 0;
        if (size > 0) {
            colored = 1;
        }
        else {
            columns = char_width(sluice_cli_text_decode(p, end, &size));
        }
        if (used + columns > width - 1) {
            break;
        }
        used += columns;
        p += size;
    }
    sluice_str_append_n(out, text, (size_t)(p - text));
    sluice_str_append(out, colored ? "\033[0m" : "");
    sluice_str_append(out, unicode ? "\xe2\x80\xa6" : "~");
    return used + 1;
}

void sluice_cli_text_pad(struct sluice_str *out, size_t n)
{
    static const char blanks[] = "                                ";
    while (n > 0) {
        size_t part = n < sizeof blanks - 1 ? n : sizeof blanks - 1;
        sluice_str_append_n(out, blanks, part);
        n -= part;
    }
}

void sluice_cli_text_repair(struct sluice_str *out, const char *text, size_t size)
{
    const char *end = text + size;
    const char *plain = text;
    while (text < end) {
        size_t n = 1;
        int32_t c = sluice_cli_text_decode(text, end, &n);
        if (c < 0) {
            sluice_str_append_n(out, plain, (size_t)(text - plain));
            sluice_str_append(out, "\xef\xbf\xbd");
            plain = text + n;
        }
        text += n;
    }
    sluice_str_append_n(out, plain, (size_t)(text - plain));
}
