/*
 * Fuzz target: text classes and the values in them. The first line is the class, the rest is the
 * value. Whatever comes out on OK must be one line, and JSON's brackets must match.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lake/textclass.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct buffer {
    uint8_t *data;
    size_t size;
};

static sluice_status keep(void *ctx, const uint8_t *data, size_t size, struct sluice_error *err)
{
    struct buffer *buffer = ctx;
    uint8_t *grown = realloc(buffer->data, buffer->size + size);
    if (grown == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory");
    }
    memcpy(grown + buffer->size, data, size);
    buffer->data = grown;
    buffer->size += size;
    return SLUICE_OK;
}

/* Brackets outside strings match, strings end, and no control character is left. Values of class
 * `j` are copied as they are, so the caller leaves them out. */
static void check(const struct buffer *buffer)
{
    long depth = 0;
    int in_string = 0;
    for (size_t i = 0; i < buffer->size; i++) {
        uint8_t c = buffer->data[i];
        if (c < 0x20) {
            abort();
        }
        if (in_string) {
            if (c == '\\') {
                i++;
            }
            else if (c == '"') {
                in_string = 0;
            }
        }
        else if (c == '"') {
            in_string = 1;
        }
        else if (c == '[' || c == '{') {
            depth++;
        }
        else if (c == ']' || c == '}') {
            depth--;
        }
        if (depth < 0) {
            abort();
        }
    }
    if (depth != 0 || in_string) {
        abort();
    }
}

static int has_json(const struct sluice_lake_class *cls)
{
    int found = cls->kind == 'j';
    for (uint32_t i = 0; i < cls->count; i++) {
        found |= has_json(&cls->items[i]);
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_class *cls = NULL;
    struct sluice_lake_scratch scratch = {NULL, 0};
    struct sluice_lake_out out;
    struct buffer buffer = {NULL, 0};
    if (line == NULL ||
        sluice_lake_class_parse((const char *)data, (uint64_t)(line - data), &cls, &err) < 0) {
        return 0;
    }
    if (sluice_lake_out_init(&out, keep, &buffer, &err) < 0) {
        abort();
    }
    out.err = &err;
    size_t value_size = size - (size_t)(line - data) - 1;
    uint8_t *value = malloc(value_size > 0 ? value_size : 1); /* exact, so that ASan sees more */
    if (value == NULL) {
        abort();
    }
    memcpy(value, line + 1, value_size);
    uint8_t *p =
        sluice_lake_class_json(cls, (int32_t)(size & 1), &scratch, &out, out.p, value, value_size);
    sluice_lake_out_flush(&out, p);
    if (out.status >= 0 && !has_json(cls)) {
        check(&buffer);
    }
    free(value);
    free(buffer.data);
    sluice_lake_out_free(&out);
    sluice_lake_scratch_free(&scratch);
    sluice_lake_class_free(cls);
    return 0;
}
