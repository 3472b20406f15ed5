/*
 * What the planners of DDL share: ddl.c creates, evolve.c alters.
 */
#ifndef SLUICE_PGSINK_DDL_H
#define SLUICE_PGSINK_DDL_H

#include "checkpoint.h"
#include "table.h"
#include "type.h"

/* Takes the statement's text. */
sluice_status sluice_pgsink_ddl_add(struct sluice_pgsink_ddl *ddl, struct sluice_pg_text *statement,
                                    struct sluice_error *err);
/* The first reason counts. */
sluice_status sluice_pgsink_ddl_refuse(struct sluice_pgsink_ddl *ddl, struct sluice_error *err,
                                       const char *format, ...) SLUICE_PRINTF(3, 4);
/* The column's type at the target, with what has to be made for it. */
sluice_status sluice_pgsink_ddl_type(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                     const struct sluice_stream_desc *desc,
                                     const struct ArrowSchema *field,
                                     char type[SLUICE_PGSINK_TYPE_MAX],
                                     struct sluice_pgsink_ddl *out, struct sluice_error *err);
/* Column `which` of ours (bit of SLUICE_META_*; SLUICE_PGSINK_METAS: the one of soft deletes). */
int sluice_pgsink_ddl_wants(const struct sluice_write *w, uint32_t which);
void sluice_pgsink_ddl_ours(const struct sluice_write *w, uint32_t which,
                            struct sluice_pg_text *sql);

/* The statement that adds the primary key, owned; NULL where rows have no key. */
sluice_status sluice_pgsink_ddl_primary_key(const struct sluice_pgsink_stream *stream,
                                            const char *quoted, char **out,
                                            struct sluice_error *err);

/* Plans for a table that is there; `oid` as text. */
sluice_status sluice_pgsink_ddl_evolve(struct sluice_sink *sink, struct sluice_pg_conn *conn,
                                       const struct sluice_pgsink_stream *stream, const char *oid,
                                       const char *quoted, struct sluice_pgsink_ddl *out,
                                       struct sluice_error *err);

#endif /* SLUICE_PGSINK_DDL_H */
