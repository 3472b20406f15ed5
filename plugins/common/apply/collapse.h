/*
 * Changes collapsed: of all that happened to a key in a part of the log, what is to be done to it now.
 */
#ifndef SLUICE_COMMON_APPLY_COLLAPSE_H
#define SLUICE_COMMON_APPLY_COLLAPSE_H

#include "apply/log.h"

/* What is to be done. */
enum {
    SLUICE_APPLY_DO_NOTHING = 0,
    SLUICE_APPLY_DO_DELETE = 1, /* `tuple` has the key */
    SLUICE_APPLY_DO_PUT = 2,    /* a whole row, that was not there as far as is known */
    SLUICE_APPLY_DO_WHOLE = 3,  /* a whole row, that was there */
    SLUICE_APPLY_DO_PART = 4,   /* the columns that were sent; the row must be there */
    SLUICE_APPLY_DO_TRY = 5,    /* the same; nothing where there is none */
    SLUICE_APPLY_DO_ADD = 6     /* a row without key, or of a history */
};

struct sluice_apply_final {
    uint64_t tuple;    /* offset in the log's arena */
    uint64_t prefix;   /* first bytes of the key, big-endian: for sorting */
    uint32_t class_id; /* PART, TRY: which set of columns, from sluice_apply_collapsed.classes */
    uint8_t todo;
};

struct sluice_apply_collapsed {
    struct sluice_apply_table *table;
    struct sluice_apply_final *finals; /* sorted: by todo, class, key */
    size_t count;
    size_t cap;
    uint32_t *buckets; /* 0 = empty, else index + 1 */
    size_t bucket_count;
    unsigned char **classes; /* masks of columns that were sent */
    uint32_t class_count;
    uint64_t by_todo[7]; /* how many there are of each */
};

/* Collapses changes [from, to) of the sorted log, one result per table of the log. AGAIN: some table wants its
 * changes in order (no key, a key whose equality is not that of its bytes, a key change of which not
 * all columns are known, rows to be refused). Appends merged tuples to the arena. */
sluice_status sluice_apply_collapse(struct sluice_apply_log *log, size_t from, size_t to,
                                    struct sluice_apply_collapsed **out, struct sluice_error *err);
void sluice_apply_collapsed_free(struct sluice_apply_collapsed *collapsed, uint32_t tables);

#endif /* SLUICE_COMMON_APPLY_COLLAPSE_H */
