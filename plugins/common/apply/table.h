/*
 * What the log knows of a target table, and what a dialect does for it.
 *
 * A sink makes one `struct sluice_apply_table` for each version of a stream and keeps it at one address as long as
 * a log may speak of it. Threads: all of one lane.
 */
#ifndef SLUICE_COMMON_APPLY_TABLE_H
#define SLUICE_COMMON_APPLY_TABLE_H

#include "apply/buffer.h"
#include "sluice/view.h"

/* A field of a tuple. `size`: of `data`, or one of these. */
enum { SLUICE_APPLY_NULL = -1, SLUICE_APPLY_UNSENT = -2 };
struct sluice_apply_field {
    const uint8_t *data;
    int32_t size;
};

struct sluice_apply_column {
    const char *name; /* in the target, unquoted; borrowed */
    int32_t source;   /* column of the stream; -1 = ours: `meta` or the soft column */
    uint32_t meta;    /* SLUICE_META_*; 0 = not metadata */
    int soft;         /* the soft-delete column */
    int key;          /* rows are found by it */
    int one_form; /* equal values have equal bytes, and unequal ones do not: may be collapsed by */
};

/* A value of a column of ours. */
enum {
    SLUICE_APPLY_META_TEXT = 1,
    SLUICE_APPLY_META_BOOL = 2,
    SLUICE_APPLY_META_NUMBER = 3,
    SLUICE_APPLY_META_TIME = 4, /* `number`: microseconds since 1970, UTC */
    SLUICE_APPLY_META_NAMES = 5
};
struct sluice_apply_meta {
    int kind;
    int64_t number;
    struct sluice_bytes text;
    const char *const *names;
    uint32_t name_count;
};

struct sluice_apply_table;

/* How a target's values are written: one constant table for each kind of sink. */
struct sluice_apply_dialect {
    size_t encoder_size; /* of one column's encoder while a batch is appended */
    /* Makes the encoder of a column for the views of a batch; once per batch and column. */
    void (*bind)(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_view *view, void *encoder);
    /* Appends the bytes of a value that is not NULL. DATA | ROW_LEVEL when the column cannot hold it. */
    sluice_status (*encode)(const void *encoder, int64_t row, struct sluice_apply_buffer *out,
                            struct sluice_error *err);
    /* The same for a column of ours. */
    sluice_status (*meta)(const struct sluice_apply_table *table, uint32_t column,
                          const struct sluice_apply_meta *value, struct sluice_apply_buffer *out,
                          struct sluice_error *err);
    /* Appends a field that was sent as JSON: for letters and messages. */
    void (*json)(const struct sluice_apply_table *table, uint32_t column,
                 const struct sluice_apply_field *field, struct sluice_apply_buffer *out);
};

struct sluice_apply_table {
    const struct sluice_apply_dialect *dialect;
    const struct sluice_stream_desc *desc;
    const struct sluice_write *write;
    const struct sluice_apply_column *columns;
    uint32_t column_count;
    const uint32_t *keys; /* indexes into columns, in key order */
    uint32_t key_count;
    int key_unique; /* the target allows one row for each key */
    void *owner;    /* the sink's own */
};

/* Rows are found by a key: not those that are only added. */
int sluice_apply_is_keyed(const struct sluice_apply_table *table);

#endif /* SLUICE_COMMON_APPLY_TABLE_H */
