/*
 * Text classes (sdk/ABI.md): how the PostgreSQL output text in a utf8 column is structured, and
 * its rendering as JSON. The class comes from field metadata, the text from a server: both are
 * untrusted and checked.
 */
#ifndef SLUICE_COMMON_LAKE_TEXTCLASS_H
#define SLUICE_COMMON_LAKE_TEXTCLASS_H

#include "lake/out.h"

enum {
    SLUICE_LAKE_CLASS_DEPTH = 32,             /* nesting of classes */
    SLUICE_LAKE_CLASS_NODES = 16384,          /* classes in one column */
    SLUICE_LAKE_CLASS_TEXT = 4 * 1024 * 1024, /* bytes of the metadata value */
    SLUICE_LAKE_ARRAY_DIMS = 16               /* dimensions of an array literal (PostgreSQL: 6) */
};

/* kind: the letter of the class: s n b j x d t z, '[' or '{' */
struct sluice_lake_class {
    int32_t kind;
    uint8_t delimiter; /* '[' */
    int32_t levels;    /* scratch copies of a value that rendering needs */
    uint32_t count;    /* '[': 1, '{': number of fields */
    struct sluice_lake_class *items;
    char *key; /* as field of a composite: `"name":`, escaped */
    uint32_t key_size;
};

/* Reads the metadata value. SCHEMA when it is malformed, LIMIT when it is too deep or large. The
 * caller frees the class. [any] */
sluice_status sluice_lake_class_parse(const char *text, uint64_t size,
                                      struct sluice_lake_class **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_lake_class_free(struct sluice_lake_class *cls);

/* Memory for unescaped parts of nested values; one per encoder, kept between values. */
struct sluice_lake_scratch {
    uint8_t *data;
    uint64_t cap;
};
void sluice_lake_scratch_free(struct sluice_lake_scratch *scratch);

/* Writes the value as JSON. A text that does not fit its class fails `out` with DATA. `hex`:
 * binary as \x… instead of base64. One thread at a time per scratch. */
uint8_t *sluice_lake_class_json(const struct sluice_lake_class *cls, int32_t hex,
                                struct sluice_lake_scratch *scratch, struct sluice_lake_out *out,
                                uint8_t *p, const uint8_t *text, size_t size);

#endif /* SLUICE_COMMON_LAKE_TEXTCLASS_H */
