/*
 * pg_wire stream. Keys:
 *     slot, publications ("a","b", quoted for the server), start (X/X), options (more of pgoutput's)
 *     idle_ms    ends when nothing but keepalives came for so long (default 1000)
 *     ack=1      says that all commits that came are durable; 0: nothing
 *     quiet=1    counts only: messages, bytes, reads, seconds of time and CPU
 *     coalesce=1 see sluice_pg_coalesce
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "pg/pgoutput.h"
#include "pg/repl.h"
#include "wire.h"

enum { RECEIVE_BYTES = 256 * 1024 };

struct stream {
    struct sluice_pg_conn *conn;
    struct sluice_pgout_parser *parser;
    uint64_t messages;
    uint64_t bytes;
    uint64_t reads;
    uint64_t commit_end;
    uint64_t seen;
    int quiet;
    int ack;
};

static int64_t now_us(void)
{
    return wire_host()->now_us(wire_host()->ctx, SLUICE_CLOCK_MONOTONIC);
}

static void print_hex(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        (void)printf("%02x", p[i]);
    }
    (void)printf("\n");
}

static int run_command(struct sluice_pg_conn *conn, const char *command)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    PGresult *result = NULL;
    if (sluice_pg_query(conn, command, command, 0, NULL, &result, &err) < 0) {
        return wire_complain("do", &err);
    }
    for (int row = 0; row < PQntuples(result); row++) {
        for (int i = 0; i < PQnfields(result); i++) {
            (void)printf("%s%s", i > 0 ? "\t" : "", PQgetvalue(result, row, i));
        }
        (void)printf("\n");
    }
    PQclear(result);
    return 0;
}

static int feedback(struct stream *s)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st =
        sluice_pg_repl_feedback(s->conn, "feedback", s->seen, s->ack ? s->commit_end : 0, 0, &err);
    return st < 0 ? wire_complain("feedback", &err) : 0;
}

/* 1 = wrong. */
static int take(struct stream *s, const struct sluice_pg_repl_message *m)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pgout_message out;
    s->messages++;
    if (m->kind == SLUICE_PG_REPL_KEEPALIVE) {
        s->seen = m->end > s->seen ? m->end : s->seen;
        if (!s->quiet) {
            (void)printf("k %" PRIx64 " %d\n", m->end, m->reply);
        }
        return m->reply ? feedback(s) : 0;
    }
    s->bytes += m->size;
    if (!s->quiet) {
        (void)printf("w %" PRIx64 " ", m->start);
        print_hex(m->data, m->size);
    }
    if (sluice_pgout_parse(s->parser, m->data, m->size, &out, &err) < 0) {
        return wire_complain("parse", &err);
    }
    if (out.type == SLUICE_PGOUT_COMMIT) {
        s->commit_end = out.end_lsn;
        s->seen = out.end_lsn > s->seen ? out.end_lsn : s->seen;
    }
    return 0;
}

static int loop(struct stream *s, int64_t idle_us)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pg_repl_message m;
    int64_t last = now_us();
    while (now_us() - last < idle_us) {
        sluice_status st = sluice_pg_repl_next(s->conn, "stream", &m, &err);
        if (st == SLUICE_END) {
            (void)printf("end\n");
            return 0;
        }
        if (st == SLUICE_AGAIN) {
            s->reads++;
            st = sluice_pg_read(s->conn, "stream", 50000, &err);
        }
        else if (st == SLUICE_OK) {
            last = m.kind == SLUICE_PG_REPL_DATA ? now_us() : last;
            if (take(s, &m) != 0) {
                return 1;
            }
        }
        if (st < 0) {
            return wire_complain("stream", &err);
        }
    }
    return feedback(s);
}

static int start(struct stream *s, char *const *args)
{
    char sql[2048];
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *from = wire_get(args, "start");
    const char *options = wire_get(args, "options");
    (void)snprintf(sql, sizeof sql,
                   "START_REPLICATION SLOT \"%s\" LOGICAL %s (proto_version '1', "
                   "publication_names '%s'%s%s)",
                   wire_get(args, "slot"), from != NULL ? from : "0/0",
                   wire_get(args, "publications"), options != NULL ? ", " : "",
                   options != NULL ? options : "");
    return sluice_pg_repl_start(s->conn, "start", sql, &err) < 0 ? wire_complain("start", &err) : 0;
}

int wire_stream(const struct sluice_pg_settings *settings, struct sluice_pg_registry *registry,
                char *const *args)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *idle = wire_get(args, "idle_ms");
    struct stream s = {.parser = sluice_pgout_parser_create(),
                       .quiet = wire_get(args, "quiet") != NULL,
                       .ack = wire_get(args, "ack") != NULL};
    if (s.parser == NULL) {
        return 2;
    }
    if (sluice_pg_repl_connect(settings, wire_host(), registry, RECEIVE_BYTES, &s.conn, &err) < 0) {
        sluice_pgout_parser_free(s.parser);
        return wire_complain("connect", &err);
    }
    int rc = 0;
    for (char *const *a = args; *a != NULL && rc == 0; a++) {
        rc = strncmp(*a, "do=", 3) == 0 ? run_command(s.conn, *a + 3) : 0;
    }
    if (rc == 0 && wire_get(args, "slot") != NULL) {
        int64_t began = now_us();
        int64_t idle_us = idle != NULL ? strtol(idle, NULL, 10) * 1000 : 1000000;
        rc = start(&s, args);
        sluice_pg_coalesce(s.conn, wire_get(args, "coalesce") != NULL);
        rc = rc == 0 ? loop(&s, idle_us) : rc;
        if (s.quiet) {
            struct rusage u;
            (void)getrusage(RUSAGE_SELF, &u);
            (void)printf("messages=%" PRIu64 " bytes=%" PRIu64 " reads=%" PRIu64
                         " seconds=%.2f user=%.2f system=%.2f switches=%ld\n",
                         s.messages, s.bytes, s.reads, (double)(now_us() - began - idle_us) / 1e6,
                         (double)u.ru_utime.tv_sec + (double)u.ru_utime.tv_usec / 1e6,
                         (double)u.ru_stime.tv_sec + (double)u.ru_stime.tv_usec / 1e6, u.ru_nvcsw);
        }
    }
    sluice_pg_close(s.conn);
    sluice_pgout_parser_free(s.parser);
    return rc;
}
