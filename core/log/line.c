/* Building one line, text or JSON, in a fixed buffer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "log/log.h"
#include "log/log_internal.h"

static const char *const level_names[] = {"?", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"};
static const char *const level_words[] = {"?", "error", "warn", "info", "debug", "trace"};
static const char *const level_colors[] = {"",         "\x1b[31m", "\x1b[33m",
                                           "\x1b[32m", "\x1b[36m", "\x1b[2m"};

static int32_t level_index(int32_t level)
{
    return level >= SLUICE_LOG_ERROR && level <= SLUICE_LOG_TRACE ? level : 0;
}

/* What does not fit is left out as a whole, so that no escape is cut. */
static int put(struct log_line *line, const char *text, size_t size)
{
    if (size > line->cap - 1 - line->size) {
        return 0;
    }
    memcpy(line->data + line->size, text, size);
    line->size += size;
    return 1;
}

static int put_text(struct log_line *line, const char *text)
{
    return put(line, text, strlen(text));
}

/* Bytes of the well-formed character at text, 0 = none. */
static size_t character(const char *text, size_t left)
{
    for (size_t size = 1; size <= 4 && size <= left; size++) {
        if (sluice_utf8_valid(text, size)) {
            return size;
        }
    }
    return 0;
}

static size_t escape_control(unsigned c, int json, char out[8])
{
    const char *known = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : NULL;
    if (known != NULL) {
        memcpy(out, known, 3);
        return 2;
    }
    int size = snprintf(out, 8, json || c > 0xff ? "\\u%04x" : "\\x%02x", c & 0xffffu);
    return (size_t)size;
}

/* The code point of a character of several bytes that would steer a terminal (C1 controls) or turn
 * the direction in which it writes; 0 = a harmless one. */
static unsigned hostile(const char *text, size_t size)
{
    const unsigned char *b = (const unsigned char *)text;
    unsigned c = 0;
    if (size == 2) {
        c = (b[0] & 0x1fu) << 6 | (b[1] & 0x3fu);
    }
    else if (size == 3) {
        c = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    }
    int is = (c >= 0x80 && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
             (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
    return is ? c : 0;
}

/* One line whatever the message holds: what steers a terminal is escaped, bytes that are no UTF-8
 * become U+FFFD. */
static void put_escaped(struct log_line *line, const char *text, size_t size, int json)
{
    size_t at = 0;
    while (at < size) {
        unsigned char byte = (unsigned char)text[at];
        char escaped[8];
        int fits = 0;
        size_t step = 1;
        if (byte < 0x20 || byte == 0x7f) {
            fits = put(line, escaped, escape_control(byte, json, escaped));
        }
        else if (json && (byte == '"' || byte == '\\')) {
            escaped[0] = '\\';
            escaped[1] = (char)byte;
            fits = put(line, escaped, 2);
        }
        else {
            step = character(text + at, size - at);
            unsigned bad = hostile(text + at, step);
            if (bad != 0) {
                fits = put(line, escaped, escape_control(bad, json, escaped));
            }
            else {
                fits = step > 0 ? put(line, text + at, step) : put(line, "\xef\xbf\xbd", 3);
            }
            step = step > 0 ? step : 1;
        }
        if (!fits) {
            return;
        }
        at += step;
    }
}

static void build_json(struct log_line *line, const char *time, int32_t level, const char *scope,
                       const char *message, size_t size, uint64_t held)
{
    char tail[64] = "\"}";
    if (held > 0) {
        (void)snprintf(tail, sizeof tail, "\",\"repeated\":%" PRIu64 "}", held);
    }
    /* Keep room for the tail, so that a line is whole JSON however long the message was. */
    size_t tail_size = strlen(tail);
    line->cap -= tail_size;
    (void)put_text(line, "{\"time\":\"");
    (void)put_text(line, time);
    (void)put_text(line, "\",\"level\":\"");
    (void)put_text(line, level_words[level_index(level)]);
    (void)put_text(line, "\",\"scope\":\"");
    put_escaped(line, scope, strlen(scope), 1);
    (void)put_text(line, "\",\"message\":\"");
    put_escaped(line, message, size, 1);
    line->cap += tail_size;
    (void)put(line, tail, tail_size);
}

static void build_text(struct log_line *line, int color, const char *time, int32_t level,
                       const char *scope, const char *message, size_t size, uint64_t held)
{
    char head[64];
    int32_t index = level_index(level);
    (void)snprintf(head, sizeof head, "%s %s%-5s%s ", time, color ? level_colors[index] : "",
                   level_names[index], color ? "\x1b[0m" : "");
    (void)put_text(line, head);
    put_escaped(line, scope, strlen(scope), 0);
    (void)put_text(line, " ");
    put_escaped(line, message, size, 0);
    if (held > 0) {
        (void)snprintf(head, sizeof head, " repeated=%" PRIu64, held);
        (void)put_text(line, head);
    }
}

void sluice_line_build(struct log_line *line, int32_t format, int color, int64_t wall_us,
                       int32_t level, const char *scope, const char *message, size_t size,
                       uint64_t held)
{
    char time[32];
    sluice_time_iso(wall_us, time);
    /* Milliseconds are enough: "….123456Z" becomes "….123Z". */
    time[23] = 'Z';
    time[24] = '\0';
    line->size = 0;
    if (format == SLUICE_LOG_FORMAT_JSON) {
        build_json(line, time, level, scope, message, size, held);
    }
    else {
        build_text(line, color, time, level, scope, message, size, held);
    }
}
