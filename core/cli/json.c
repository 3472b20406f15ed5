/* JSON for --json: values, and writing them without the library's own allocations leaking out. */
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "log/log.h"
#include "text.h"

json_t *sluice_cli_json_text(const char *text)
{
    struct sluice_str valid = SLUICE_STR_INIT;
    if (text == NULL) {
        return json_null();
    }
    sluice_cli_text_repair(&valid, text, strlen(text));
    json_t *value = json_string(sluice_str_text(&valid));
    sluice_str_free(&valid);
    return value;
}

json_t *sluice_cli_json_message(const char *text)
{
    char *copy = sluice_alloc_string(text);
    if (copy == NULL) {
        return json_null();
    }
    sluice_log_redact(copy);
    json_t *value = sluice_cli_json_text(copy);
    sluice_free(copy);
    return value;
}

json_t *sluice_cli_json_count(int64_t n)
{
    return n < 0 ? json_null() : json_integer(n);
}

json_t *sluice_cli_json_time(int64_t wall_us)
{
    char text[32];
    if (wall_us == 0) {
        return json_null();
    }
    sluice_time_iso(wall_us, text);
    return json_string(text);
}

/* JSON is often read on a terminal too. Characters above ASCII stand in strings alone, and jansson
 * hands them over whole. */
static int append(const char *data, size_t size, void *ctx)
{
    const char *end = data + size;
    const char *plain = data;
    for (const char *p = data; p < end;) {
        size_t step = 1;
        int32_t c = sluice_cli_text_decode(p, end, &step);
        if (c >= 0x7f && sluice_cli_text_hostile(c)) {
            sluice_str_append_n(ctx, plain, (size_t)(p - plain));
            sluice_str_printf(ctx, "\\u%04x", (unsigned)c);
            plain = p + step;
        }
        p += step;
    }
    sluice_str_append_n(ctx, plain, (size_t)(end - plain));
    return 0;
}

void sluice_cli_json_dump(const json_t *json, size_t flags, struct sluice_str *out)
{
    if (json == NULL ||
        json_dump_callback(json, append, out, flags | JSON_REAL_PRECISION(9)) != 0) {
        out->failed = 1;
    }
}
