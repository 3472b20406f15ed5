/*
 * What the catalog says of a target table.
 */
#ifndef SLUICE_MSSINK_CATALOG_H
#define SLUICE_MSSINK_CATALOG_H

#include "sink.h"
#include "value.h"

struct mssink_seen_column {
    char name[132 * 4];
    char type_name[64];
    struct mssink_type type;
    int ordinal;
    int nullable;
    int identity;
    int computed;
    int has_default;
    char collation[132];  /* a plain word; "" = none */
    int binary_collation; /* compared by its code points */
};

struct mssink_seen {
    int64_t object_id; /* 0 = there is no such table */
    struct mssink_seen_column *columns;
    uint32_t count;
    uint32_t cap;
    int index_count;
    int guards; /* triggers, foreign keys and checks: bulk load would pass them over */
    char *
        unique; /* owned: "\x1e" before each unique index (the primary key first), "\x1f" around each
                     column */
};

sluice_status mssink_seen_read(struct sluice_tds_conn *conn, const char *schema, const char *name,
                               struct mssink_seen *out, struct sluice_error *err);
void mssink_seen_free(struct mssink_seen *seen);
/* NULL = there is none of that name. */
const struct mssink_seen_column *mssink_seen_find(const struct mssink_seen *seen, const char *name);
/* 1 if a unique index is on exactly these columns. */
int mssink_seen_is_unique(const struct mssink_seen *seen, const char *const *names, uint32_t count);

#endif /* SLUICE_MSSINK_CATALOG_H */
