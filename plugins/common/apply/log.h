/*
 * The log of a lane: changes as tuples of encoded values, normalised by the write mode.
 *
 * Appending has already made soft deletes into updates, left ignored deletes out and made history into inserts. What
 * applies the log knows I, U, D, T and X alone. Nothing is allocated per row but the log's own arrays.
 */
#ifndef SLUICE_COMMON_APPLY_LOG_H
#define SLUICE_COMMON_APPLY_LOG_H

#include "apply/table.h"

/* A tuple in the arena: for each column of the table int32 (of this machine) length and so many bytes, in the
 * dialect's form; -1 = NULL, -2 = not sent (unchanged, or not part of the old row). */
#define SLUICE_APPLY_NONE UINT64_MAX

struct sluice_apply_change {
    uint32_t table; /* in log.tables */
    uint32_t tx;    /* in log.txs */
    int64_t seq;
    uint64_t after;  /* offset of a tuple; NONE for D and T. X: of a text, the row as JSON */
    uint64_t before; /* offset of a tuple: what the row is found by; NONE = by the key in `after`.
                           X: of a text, what is wrong (SQLSTATE in five places first) */
    uint8_t op;      /* I U D T X; 0 = dropped */
    uint8_t key_change; /* U: `before` has another key than `after` */
    uint8_t partial;    /* `after` has columns that were not sent */
    uint8_t source_op;  /* as the source said: for letters and messages */
};

/* Rows of one source transaction; one that comes in several batches has several of these. */
struct sluice_apply_tx {
    uint64_t pos; /* offset in the arena of commit_pos */
    uint32_t pos_size;
    uint32_t reserved;
};

struct sluice_apply_log {
    uint8_t *arena;
    size_t arena_size;
    size_t arena_cap;
    struct sluice_apply_change *changes;
    size_t count;
    size_t cap;
    struct sluice_apply_tx *txs;
    size_t tx_count;
    size_t tx_cap;
    struct sluice_apply_table **tables; /* borrowed */
    uint32_t table_count;
    uint32_t table_cap;
    int sorted; /* changes stand in the order of (position, seq) */
};

/* How a batch is taken. */
struct sluice_apply_taking {
    struct sluice_bytes applied; /* rows at or before it are in the target; data NULL = none */
    int64_t now_us;
    int keep_refused; /* rows that cannot be encoded become X; else they are the answer */
};

/* Appends the rows of a CHANGES or TRUNCATE batch that are greater than `applied`. */
sluice_status sluice_apply_log_append(struct sluice_apply_log *log,
                                      struct sluice_apply_table *table,
                                      const struct sluice_batch *batch,
                                      const struct sluice_apply_taking *taking,
                                      struct sluice_error *err);
/* The changes in the order of (position, seq), which is that of the source. */
sluice_status sluice_apply_log_sort(struct sluice_apply_log *log, struct sluice_error *err);
void sluice_apply_log_clear(struct sluice_apply_log *log); /* keeps the memory, up to a bound */
void sluice_apply_log_free(struct sluice_apply_log *log);

/* Opens a tuple into `columns` fields. */
void sluice_apply_tuple(const struct sluice_apply_log *log, uint64_t tuple, uint32_t columns,
                        struct sluice_apply_field *out);
/* One field of a tuple. */
struct sluice_apply_field sluice_apply_field_of(const struct sluice_apply_log *log, uint64_t tuple,
                                                uint32_t column);
/* The position of a change. */
struct sluice_bytes sluice_apply_change_pos(const struct sluice_apply_log *log,
                                            const struct sluice_apply_change *change);
/* 1 if the change is the last one of its source transaction in the sorted log. */
int sluice_apply_is_last_of_tx(const struct sluice_apply_log *log, size_t index);
/* "U of public.t {"id":7} at position 0000…/3": the row of a change for a message; keys alone, cut. */
void sluice_apply_change_name(const struct sluice_apply_log *log,
                              const struct sluice_apply_change *change, char *out, size_t size);
/* Appends a tuple as a JSON object of the columns that were sent; `keys_only`: of the key. */
void sluice_apply_tuple_json(const struct sluice_apply_log *log,
                             const struct sluice_apply_table *table, uint64_t tuple, int keys_only,
                             struct sluice_apply_buffer *out);

/* What a statement does for one change. */
enum {
    SLUICE_APPLY_PUT = 1,    /* insert, or update by key where the row is there */
    SLUICE_APPLY_ADD = 2,    /* insert */
    SLUICE_APPLY_CHANGE = 3, /* update of the columns that were sent; must meet a row */
    SLUICE_APPLY_TRY = 4,    /* the same, and meets none where there is none */
    SLUICE_APPLY_REMOVE = 5
};
/* Of a change I, U or D. */
int sluice_apply_kind_of(const struct sluice_apply_table *table,
                         const struct sluice_apply_change *change);

/* log.c's, for append.c */
int sluice_apply_in_order(const struct sluice_apply_log *log, const uint8_t *arena,
                          const struct sluice_apply_change *a, const struct sluice_apply_change *b);
int sluice_apply_grow(void **data, size_t *cap, size_t need, size_t size);

#endif /* SLUICE_COMMON_APPLY_LOG_H */
