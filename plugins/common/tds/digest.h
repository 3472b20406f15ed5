/*
 * Digests (abi.h, "digests") of a table of SQL Server, for source and sink alike. The server has no row_to_json that
 * prints as others do: rows are read, put into the stream's types, and hashed on this side (docs/adr/0013).
 */
#ifndef SLUICE_COMMON_TDS_DIGEST_H
#define SLUICE_COMMON_TDS_DIGEST_H

#include "tds/column.h"
#include "tds/conn.h"

struct sluice_tds_digest_from {
    const char *text;                        /* what follows FROM */
    const struct sluice_tds_column *columns; /* as the catalog has them */
    uint32_t count;
    int32_t snapshot; /* to be read under SNAPSHOT isolation */
    struct sluice_tds_rules rules;
};

/* The connection is not in a transaction. SCHEMA: the table lacks a column. */
sluice_status sluice_tds_digest(struct sluice_tds_conn *conn,
                                const struct sluice_tds_digest_from *from,
                                const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                void *vctx, struct sluice_digest_info *info,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* The longest name five times in a cast, and the decoder's form around it. */
enum { SLUICE_TDS_DIGEST_EXPRESSION_MAX = 4096, SLUICE_TDS_DIGEST_SELECT_MAX = 8192 };

/* digest_column.c: how a column is read so that it can be compared with the field of a stream. */
struct sluice_tds_digest_column {
    struct sluice_tds_decoder decoder;
    char select[SLUICE_TDS_DIGEST_SELECT_MAX]; /* of the select list */
    struct sluice_type type;                   /* it is printed as */
    int32_t number;                            /* a number that comes as a text */
};
sluice_status sluice_tds_digest_column_make(const struct sluice_tds_column *column,
                                            const struct ArrowSchema *field,
                                            const struct sluice_tds_rules *rules,
                                            struct sluice_tds_digest_column *out,
                                            struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_TDS_DIGEST_H */
