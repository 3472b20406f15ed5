/*
 * T-SQL for changes: one by one with literals, and for sets that are staged. Nothing is sent here. [any]
 *
 * Rows are found by exactly their key. SQL Server compares texts by collation and leaves blanks at the end out, so that
 * 'a', 'A' and 'a ' may be one key to it: a text is compared in binary and by its length besides, so that another row is
 * never met by mistake. Where the target holds two such keys for one, its unique index says so, loudly.
 */
#ifndef SLUICE_MSSINK_STATEMENT_H
#define SLUICE_MSSINK_STATEMENT_H

#include "apply/collapse.h"
#include "table.h"

/* Numbers of the errors that our own statements throw. */
enum {
    MSSINK_THROW_MISSING = 51001, /* an update met no row */
    MSSINK_THROW_MANY = 51002,    /* equal rows, with duplicates: fail */
    MSSINK_THROW_FENCED = 51003   /* the lane is not ours any more */
};

/* A change as a statement. `kind` is SLUICE_APPLY_PUT …; `before` finds the row, or else the key in `after` does; NULL =
 * there is none. `index` of the change in its log is said when an update meets no row. */
void mssink_statement_change(const struct mssink_table *table, int kind, int32_t duplicates,
                             const struct sluice_apply_field *after,
                             const struct sluice_apply_field *before, size_t index,
                             struct mssink_text *out);
/* What a TRUNCATE of the source does; with `soft` rows are marked. */
void mssink_statement_truncate(const struct mssink_table *table, int soft, struct mssink_text *out);

/* ---- sets: a table `stage` ("#sluice_s1") with columns _k and c0 … ---- */

void mssink_stage_create(const struct mssink_table *table, const char *stage,
                         struct mssink_text *out);
/* What _k of a staged row is. */
uint32_t mssink_stage_mark(const struct sluice_apply_final *final);
void mssink_stage_delete(const struct mssink_table *table, const char *stage, uint32_t mark,
                         struct mssink_text *out);
/* `mask`: the columns that were sent, a byte each; NULL = all. Throws when fewer rows than `least` are met. Nothing where
 * there is but the key. */
void mssink_stage_update(const struct mssink_table *table, const char *stage, uint32_t mark,
                         const unsigned char *mask, uint64_t least, struct mssink_text *out);
/* `absent`: only rows whose key the target lacks. */
void mssink_stage_insert(const struct mssink_table *table, const char *stage, uint32_t mark,
                         int absent, struct mssink_text *out);

#endif /* SLUICE_MSSINK_STATEMENT_H */
