/* Stream descriptions: copies and names. */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sluice/array.h"

/* The description and all that hangs on it. Members beyond the source's struct_size read as zero,
 * so that a description of an older plugin can be copied. */
struct desc_copy {
    struct sluice_stream_desc desc;
    struct ArrowSchema schema;
    char *strings;     /* every string, one after another */
    const char **list; /* parts, then encodings */
    struct sluice_pair *properties;
    uint32_t *keys;
    char *position;
};

struct string_pool {
    char *at; /* NULL while sizes are counted */
    uint64_t size;
};

static const char *pool_add(struct string_pool *pool, const char *text)
{
    if (text == NULL) {
        return NULL;
    }
    uint64_t n = strlen(text) + 1;
    const char *result = text;
    if (pool->at != NULL) {
        memcpy(pool->at + pool->size, text, n);
        result = pool->at + pool->size;
    }
    pool->size += n;
    return result;
}

void sluice_stream_desc_free(struct sluice_stream_desc *desc)
{
    if (desc == NULL) {
        return;
    }
    struct desc_copy *c = (struct desc_copy *)desc;
    sluice_schema_release(&c->schema);
    free(c->strings);
    free(c->list);
    free(c->properties);
    free(c->keys);
    free(c->position);
    free(c);
}

/* Counts (pool->at NULL) or copies all strings; the second walk writes the pointers. */
static void copy_strings(struct desc_copy *c, const struct sluice_stream_desc *src,
                         struct string_pool *pool)
{
    c->desc.name = pool_add(pool, src->name);
    c->desc.load_position_text = pool_add(pool, src->load_position_text);
    for (uint32_t i = 0; i < src->part_count; i++) {
        c->list[i] = pool_add(pool, src->parts[i]);
    }
    for (uint32_t i = 0; i < src->encoding_count; i++) {
        c->list[src->part_count + i] = pool_add(pool, src->encodings[i]);
    }
    for (uint32_t i = 0; i < src->property_count; i++) {
        c->properties[i].key = pool_add(pool, src->properties[i].key);
        c->properties[i].value = pool_add(pool, src->properties[i].value);
    }
}

struct sluice_stream_desc *sluice_stream_desc_copy(const struct sluice_stream_desc *src)
{
    struct sluice_stream_desc full;
    memset(&full, 0, sizeof full);
    memcpy(&full, src, src->struct_size < sizeof full ? src->struct_size : sizeof full);
    full.struct_size = (uint32_t)sizeof full;

    struct desc_copy *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    c->desc = full;
    c->desc.schema = NULL;
    uint64_t list_count = (uint64_t)full.part_count + full.encoding_count;
    c->list = calloc(list_count + 1, sizeof(const char *));
    c->properties = calloc((uint64_t)full.property_count + 1, sizeof *c->properties);
    c->keys = calloc((uint64_t)full.key_count + 1, sizeof *c->keys);
    c->position = malloc(full.load_position.size + 1);
    if (c->list == NULL || c->properties == NULL || c->keys == NULL || c->position == NULL) {
        goto fail;
    }
    struct string_pool pool = {NULL, 0};
    copy_strings(c, &full, &pool);
    c->strings = malloc(pool.size + 1);
    if (c->strings == NULL) {
        goto fail;
    }
    pool.at = c->strings;
    pool.size = 0;
    copy_strings(c, &full, &pool);
    if (full.key_count > 0) {
        memcpy(c->keys, full.keys, (uint64_t)full.key_count * sizeof *c->keys);
    }
    if (full.load_position.size > 0) {
        memcpy(c->position, full.load_position.data, full.load_position.size);
    }
    if (full.schema != NULL && full.schema->release != NULL) {
        if (sluice_schema_copy(full.schema, &c->schema, NULL) < 0) {
            goto fail;
        }
        c->desc.schema = &c->schema;
    }
    c->desc.parts = c->list;
    c->desc.encodings = c->list + full.part_count;
    c->desc.properties = c->properties;
    c->desc.keys = c->keys;
    c->desc.load_position.data = full.load_position.size > 0 ? c->position : NULL;
    return &c->desc;
fail:
    sluice_stream_desc_free(&c->desc);
    return NULL;
}

static int is_plain_identifier(const char *s)
{
    if (!((*s >= 'a' && *s <= 'z') || *s == '_')) {
        return 0;
    }
    for (s++; *s != '\0'; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9') || *s == '_')) {
            return 0;
        }
    }
    return 1;
}

static void put_char(char *out, uint64_t cap, uint64_t *size, char c)
{
    if (*size < cap) {
        out[*size] = c;
    }
    (*size)++;
}

uint64_t sluice_stream_name(const char *const *parts, uint32_t part_count, char *out, uint64_t cap)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < part_count; i++) {
        int quoted = !is_plain_identifier(parts[i]);
        if (i > 0) {
            put_char(out, cap, &size, '.');
        }
        if (quoted) {
            put_char(out, cap, &size, '"');
        }
        for (const char *s = parts[i]; *s != '\0'; s++) {
            if (*s == '"') {
                put_char(out, cap, &size, '"');
            }
            put_char(out, cap, &size, *s);
        }
        if (quoted) {
            put_char(out, cap, &size, '"');
        }
    }
    if (size < cap) {
        out[size] = '\0';
    }
    return size;
}
