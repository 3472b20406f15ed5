/*
 * Renders values that come as raw bits, so that a test can compare them with what PostgreSQL says:
 * reads lines `TYPE HEX…` and prints one rendered value a line. Types: f8 and f4 (IEEE bits),
 * numSCALE (128-bit two's complement), date, ts, tz (integers).
 *
 * `render CLASS FORMAT` instead reads rows of text: a 32-bit big-endian length, then the bytes of a
 * value of that text class; it prints JSON lines (FORMAT jsonl) or CSV.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/decimals.h"
#include "lake/encoder.h"
#include "lake/floats.h"
#include "lake/times.h"
#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/position.h"

static uint8_t *render_value(uint8_t *p, const char *type, const char *text)
{
    uint64_t v = strtoull(text, NULL, 16);
    if (strcmp(type, "f8") == 0) {
        double d;
        memcpy(&d, &v, sizeof d);
        return sluice_lake_put_f64(p, d);
    }
    if (strcmp(type, "f4") == 0) {
        uint32_t low = (uint32_t)v;
        float f;
        memcpy(&f, &low, sizeof f);
        return sluice_lake_put_f32(p, f);
    }
    if (strncmp(type, "num", 3) == 0) {
        uint8_t value[16];
        char half[17] = "";
        if (strlen(text) != 32) {
            return p;
        }
        memcpy(half, text, 16);
        uint64_t high = strtoull(half, NULL, 16);
        v = strtoull(text + 16, NULL, 16);
        memcpy(value, &v, 8);
        memcpy(value + 8, &high, 8);
        return sluice_lake_put_decimal(p, value, 16, (int32_t)strtol(type + 3, NULL, 10));
    }
    if (strcmp(type, "date") == 0) {
        return sluice_lake_put_date(p, (int32_t)(uint32_t)v, 0);
    }
    return sluice_lake_put_timestamp(p, (int64_t)v,
                                     strcmp(type, "tz") == 0 ? SLUICE_LAKE_UTC | SLUICE_LAKE_XSD
                                                             : SLUICE_LAKE_XSD);
}

static int render_bits(void)
{
    char line[256];
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint8_t out[2048];
        char *text = strchr(line, ' ');
        if (text == NULL) {
            return 1;
        }
        *text++ = 0;
        text[strcspn(text, "\n")] = 0;
        uint8_t *end = render_value(out, line, text);
        *end++ = '\n';
        (void)fwrite(out, 1, (size_t)(end - out), stdout);
    }
    return 0;
}

static sluice_status to_stdout(void *ctx, const uint8_t *data, size_t size,
                               struct sluice_error *err)
{
    (void)ctx;
    return fwrite(data, 1, size, stdout) == size
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_IO, 0, "stdout is gone");
}

static int read_value(struct sluice_column *col)
{
    uint8_t head[4];
    if (fread(head, 1, 4, stdin) != 4) {
        return 0;
    }
    uint32_t n = sluice_get_be32(head);
    if (n == UINT32_MAX) {
        return sluice_column_put_null(col, NULL) == SLUICE_OK;
    }
    uint8_t *room = sluice_column_room(col, n, NULL);
    if (room == NULL || fread(room, 1, n, stdin) != n) {
        return 0;
    }
    sluice_column_put_room(col, n);
    return 1;
}

static int render_texts(const char *cls, int32_t format, struct sluice_error *err)
{
    enum { ROWS = 4096 };
    const struct sluice_pair pair = {"sluice:text", cls};
    struct ArrowSchema schema;
    struct sluice_type utf8;
    struct sluice_rows rows;
    struct sluice_lake_out out;
    struct sluice_lake_encoder *enc = NULL;
    if (sluice_type_parse("u", &utf8, err) < 0 || sluice_schema_init(&schema, 1, err) < 0 ||
        sluice_schema_set(&schema, 0, "v", &utf8, 1, &pair, 1, err) < 0 ||
        sluice_rows_init(&rows, &schema, ROWS, err) < 0 ||
        sluice_lake_out_init(&out, to_stdout, NULL, err) < 0 ||
        sluice_lake_encoder_create(&schema, format, 0, &enc, err) < 0) {
        return 1;
    }
    out.err = err;
    int more = 1;
    while (more && out.status >= 0) {
        struct ArrowArray array;
        while (rows.rows < ROWS && (more = read_value(&rows.columns[0])) != 0) {
            sluice_rows_end_row(&rows);
        }
        if (sluice_rows_finish(&rows, &array, err) < 0 ||
            sluice_lake_encoder_bind(enc, &array, err) < 0) {
            return 1;
        }
        sluice_lake_encoder_rows(enc, 0, array.length, &out);
        sluice_array_release(&array);
    }
    sluice_lake_out_flush(&out, out.p);
    sluice_lake_encoder_free(enc);
    sluice_lake_out_free(&out);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return err->status < 0;
}

int main(int argc, char **argv)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (argc == 1) {
        return render_bits();
    }
    if (argc != 3) {
        (void)fprintf(stderr, "usage: render [CLASS jsonl|csv]\n");
        return 2;
    }
    int rc = render_texts(argv[1], strcmp(argv[2], "csv") == 0 ? 1 : 0, &err);
    if (rc != 0) {
        (void)fprintf(stderr, "%s\n", err.message);
    }
    return rc;
}
