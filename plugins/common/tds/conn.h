/*
 * One connection to a SQL Server, over FreeTDS db-lib (docs/adr/0010-freetds-db-lib.md).
 *
 * Threads: a connection belongs to one thread at a time. Waits look at the host's cancellation and at the
 * deadline once a second; then an attention is sent, and the call answers CANCELLED or UNAVAILABLE.
 */
#ifndef SLUICE_COMMON_TDS_CONN_H
#define SLUICE_COMMON_TDS_CONN_H

#include "tds/error.h"
#include "tds/settings.h"

struct sluice_tds_conn;

/* `settings` and `host` are borrowed until close. AUTH, NOT_FOUND, UNAVAILABLE. */
sluice_status sluice_tds_connect(const struct sluice_tds_settings *settings,
                                 const struct sluice_host *host, struct sluice_tds_conn **out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;
/* NULL is allowed. */
void sluice_tds_close(struct sluice_tds_conn *conn);

/* 1 if the connection is lost for good. */
int32_t sluice_tds_is_dead(const struct sluice_tds_conn *conn);

/* Runs statements and throws their rows away. `what` names object and operation. */
sluice_status sluice_tds_run(struct sluice_tds_conn *conn, const char *what, const char *sql,
                             struct sluice_error *err) SLUICE_MUST_CHECK;

/* Begins a query: its first set of rows is there to be fetched. INTERNAL if it has none. */
sluice_status sluice_tds_query(struct sluice_tds_conn *conn, const char *what, const char *sql,
                               struct sluice_error *err) SLUICE_MUST_CHECK;
/* The next row; END behind the last one, when also no error came behind the rows (db-lib tells of such an
 * error to its message handler alone). The connection is free again then. */
sluice_status sluice_tds_fetch(struct sluice_tds_conn *conn, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* Gives up what is left of a query. */
void sluice_tds_cancel(struct sluice_tds_conn *conn);

/* Column `i` from 0 of the row at hand: bytes of the type's own form, until the next fetch; data NULL = NULL. */
struct sluice_bytes sluice_tds_value(const struct sluice_tds_conn *conn, int32_t i);
/* 1 if its values are texts. */
int32_t sluice_tds_is_text(const struct sluice_tds_conn *conn, int32_t i);
/* SYB… of the column, or -1. */
int32_t sluice_tds_column_type(const struct sluice_tds_conn *conn, int32_t i);
/* Of a decimal column. */
int32_t sluice_tds_column_scale(const struct sluice_tds_conn *conn, int32_t i);
int32_t sluice_tds_column_count(const struct sluice_tds_conn *conn);
/* A text column as NUL-terminated text ("" for NULL, cut to fit), an integer column as number. */
void sluice_tds_text(const struct sluice_tds_conn *conn, int32_t i, char *out, size_t size);
int64_t sluice_tds_number(const struct sluice_tds_conn *conn, int32_t i);

/* An identifier in brackets: `]` is doubled. Answers the length, as snprintf; cut when that is >= size. */
size_t sluice_tds_quote(const char *name, char *out, size_t size);
/* A text as N'…': `'` is doubled. Answers as sluice_tds_quote(). */
size_t sluice_tds_quote_text(const char *text, char *out, size_t size);

#endif /* SLUICE_COMMON_TDS_CONN_H */
