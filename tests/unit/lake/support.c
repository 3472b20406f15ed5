#include "support.h"

#include <stdlib.h>
#include <time.h>

#include "sluice/failpoint.h"

static void host_log(void *ctx, int32_t level, const char *message, uint64_t size)
{
    (void)ctx;
    (void)level;
    (void)message;
    (void)size;
}

static int32_t host_log_enabled(void *ctx, int32_t level)
{
    (void)ctx;
    (void)level;
    return 0;
}

static sluice_status host_config_get(void *ctx, const char *key, struct sluice_value *out)
{
    const struct test_host *host = ctx;
    static const struct test_option known[] = {
        /* the defaults of the option table; without a text: unset */
        {"format", SLUICE_OPTION_ENUM, 0, "jsonl"},
        {"compression", SLUICE_OPTION_ENUM, 2, "zstd"},
        {"compression_level", SLUICE_OPTION_INT, 0, NULL},
        {"binary", SLUICE_OPTION_ENUM, 0, NULL},
        {"path", SLUICE_OPTION_STRING, 0, NULL},
        {"changes", SLUICE_OPTION_ENUM, 0, "columns"},
        {"full", SLUICE_OPTION_ENUM, 0, "rows"},
        {"metadata_prefix", SLUICE_OPTION_STRING, 0, "_"},
        {"topic_prefix", SLUICE_OPTION_STRING, 0, NULL},
        {"decimal_handling_mode", SLUICE_OPTION_ENUM, 0, "precise"},
        {"time_precision_mode", SLUICE_OPTION_ENUM, 0, "adaptive"},
        {"binary_handling_mode", SLUICE_OPTION_ENUM, 0, "bytes"},
        {"interval_handling_mode", SLUICE_OPTION_ENUM, 0, "numeric"},
        {"hstore_handling_mode", SLUICE_OPTION_ENUM, 0, "json"},
        {"unavailable_value_placeholder", SLUICE_OPTION_STRING, 0, "__debezium_unavailable_value"},
        {NULL, 0, 0, NULL}};
    memset((char *)out + sizeof out->struct_size, 0, sizeof *out - sizeof out->struct_size);
    for (const struct test_option *o = host->options; o != NULL && o->key != NULL; o++) {
        if (strcmp(o->key, key) == 0) {
            out->type = o->type;
            out->is_set = 1;
            out->number = o->number;
            out->string = o->string;
            out->string_size = o->string != NULL ? strlen(o->string) : 0;
            return SLUICE_OK;
        }
    }
    for (const struct test_option *o = known; o->key != NULL; o++) {
        if (strcmp(o->key, key) == 0) {
            out->type = o->type;
            out->is_set = o->string != NULL;
            out->number = o->number;
            out->string = o->string;
            out->string_size = o->string != NULL ? strlen(o->string) : 0;
            return SLUICE_OK;
        }
    }
    return SLUICE_E_NOT_FOUND;
}

static int32_t host_cancelled(void *ctx)
{
    return ((const struct test_host *)ctx)->cancelled;
}

static int32_t host_cancel_fd(void *ctx)
{
    (void)ctx;
    return -1;
}

static int64_t host_now_us(void *ctx, int32_t clock)
{
    const struct test_host *host = ctx;
    if (clock == SLUICE_CLOCK_MONOTONIC) {
        return host->clock_us;
    }
    return INT64_C(1795395154123456) + host->clock_us;
}

static void *host_realloc(void *ctx, void *p, uint64_t size)
{
    (void)ctx;
    if (size == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, size);
}

static int32_t host_memory(void *ctx, int64_t delta, int32_t must)
{
    struct test_host *host = ctx;
    (void)must;
    host->memory += delta;
    host->memory_peak = host->memory > host->memory_peak ? host->memory : host->memory_peak;
    return 1;
}

static struct test_host *failing; /* the extension has no context of its own */

static sluice_status fail_hit(const char *name, struct sluice_error *err)
{
    if (failing->fail_at == NULL || strcmp(failing->fail_at, name) != 0 ||
        failing->fail_skip-- > 0) {
        return SLUICE_OK;
    }
    failing->fail_armed = 0;
    return sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE, "failpoint %s", name);
}

static int32_t fail_torn(const char *name)
{
    (void)name;
    return 0;
}

static void fail_crash(void)
{
}

static const void *host_extension(void *ctx, const char *id)
{
    static struct sluice_failpoint_extension extension;
    failing = ctx;
    if (strcmp(id, SLUICE_EXTENSION_FAILPOINT) != 0) {
        return NULL;
    }
    extension.struct_size = (uint32_t)sizeof extension;
    extension.hit = fail_hit;
    extension.torn = fail_torn;
    extension.crash = fail_crash;
    extension.armed = &failing->fail_armed;
    return &extension;
}

void test_host_init(struct test_host *host, const struct test_option *options)
{
    memset((void *)host, 0, sizeof *host);
    host->options = options;
    host->host.struct_size = (uint32_t)sizeof host->host;
    host->host.ctx = host;
    host->host.log = host_log;
    host->host.log_enabled = host_log_enabled;
    host->host.config_get = host_config_get;
    host->host.cancelled = host_cancelled;
    host->host.cancel_fd = host_cancel_fd;
    host->host.now_us = host_now_us;
    host->host.realloc = host_realloc;
    host->host.memory = host_memory;
    host->host.extension = host_extension;
}

void test_schema(struct ArrowSchema *schema, const struct test_field *fields)
{
    int64_t n = 0;
    while (fields[n].name != NULL) {
        n++;
    }
    assert_int_equal(sluice_schema_init(schema, n, NULL), SLUICE_OK);
    for (int64_t i = 0; i < n; i++) {
        struct sluice_type type;
        struct sluice_pair pairs[4];
        uint32_t count = 0;
        for (const char *const *m = fields[i].metadata; *m != NULL; m += 2) {
            pairs[count++] = (struct sluice_pair){m[0], m[1]};
        }
        assert_int_equal(sluice_type_parse(fields[i].format, &type, NULL), SLUICE_OK);
        assert_int_equal(sluice_schema_set(schema, i, fields[i].name, &type, 1, pairs, count, NULL),
                         SLUICE_OK);
    }
}

struct buffer {
    char *data;
    size_t size;
};

static sluice_status buffer_write(void *ctx, const uint8_t *data, size_t size,
                                  struct sluice_error *err)
{
    struct buffer *buffer = ctx;
    char *grown = realloc(buffer->data, buffer->size + size + 1);
    if (grown == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory");
    }
    memcpy(grown + buffer->size, data, size);
    buffer->data = grown;
    buffer->size += size;
    buffer->data[buffer->size] = 0;
    return SLUICE_OK;
}

char *test_render(const struct ArrowSchema *schema, const struct ArrowArray *array, int32_t format,
                  int32_t binary, int32_t header, struct sluice_error *err)
{
    struct buffer buffer = {calloc(1, 1), 0};
    struct sluice_lake_encoder *enc = NULL;
    struct sluice_lake_out out;
    assert_int_equal(sluice_lake_out_init(&out, buffer_write, &buffer, err), SLUICE_OK);
    out.err = err;
    sluice_status st = sluice_lake_encoder_create(schema, format, binary, &enc, err);
    if (st >= 0) {
        st = sluice_lake_encoder_bind(enc, array, err);
    }
    if (st >= 0) {
        if (header) {
            sluice_lake_encoder_begin(enc, &out);
        }
        sluice_lake_encoder_rows(enc, 0, array->length, &out);
        sluice_lake_out_flush(&out, out.p);
        st = out.status;
    }
    sluice_lake_encoder_free(enc);
    sluice_lake_out_free(&out);
    if (st < 0) {
        free(buffer.data);
        return NULL;
    }
    return buffer.data;
}

char *test_render_text(const char *format, const char *key, const char *value, const char *text,
                       size_t size, int32_t out_format, struct sluice_error *err)
{
    const struct test_field fields[] = {{"v", format, {key, value}}, {NULL, NULL, {NULL}}};
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows;
    test_schema(&schema, fields);
    assert_int_equal(sluice_rows_init(&rows, &schema, 1, err), SLUICE_OK);
    if (text == NULL) {
        assert_int_equal(sluice_column_put_null(&rows.columns[0], err), SLUICE_OK);
    }
    else {
        assert_int_equal(sluice_column_put_bytes(&rows.columns[0], text, size, err), SLUICE_OK);
    }
    sluice_rows_end_row(&rows);
    assert_int_equal(sluice_rows_finish(&rows, &array, err), SLUICE_OK);
    char *out = test_render(&schema, &array, out_format, 0, 0, err);
    sluice_array_release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return out;
}
