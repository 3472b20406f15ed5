/*
 * Writing pgoutput's messages, and a feed without a connection that takes them.
 */
#ifndef SLUICE_TEST_POSTGRES_WIRE_H
#define SLUICE_TEST_POSTGRES_WIRE_H

#include "feed.h"
#include "host.h"

struct wire {
    uint8_t data[8192];
    size_t size;
};

void wire_begin(struct wire *w, uint64_t lsn, uint32_t xid);
void wire_commit(struct wire *w, uint64_t lsn, uint64_t end);
/* Columns are named a, b, c … with types int4, text, text …; `keys` = how many are of the key. */
void wire_relation(struct wire *w, uint32_t oid, char identity, uint32_t columns, uint32_t keys);
/* Values as text; NULL = NULL, "\1" = unchanged. */
void wire_insert(struct wire *w, uint32_t oid, const char *const *values, uint32_t count);
void wire_update(struct wire *w, uint32_t oid, char old_kind, const char *const *old,
                 const char *const *values, uint32_t count);
void wire_delete(struct wire *w, uint32_t oid, char old_kind, const char *const *old,
                 uint32_t count);
void wire_truncate(struct wire *w, const uint32_t *oids, uint32_t count);
void wire_message(struct wire *w, int transactional, uint64_t lsn, const char *prefix,
                  const char *content);

enum { BENCH_STREAMS = 64, BENCH_COLUMNS = 3 };

/* A source of some tables t0, t1 … with the columns a int (key), b text, c text, and a feed of it. */
struct bench {
    struct pg_test_host host;
    struct sluice_source src;
    struct pg_relation relations[BENCH_STREAMS];
    struct pg_attribute attributes[BENCH_COLUMNS];
    struct pg_stream streams[BENCH_STREAMS];
    struct pg_feed feed;
};

enum { BENCH_OID = 16384 }; /* of the first table; the others follow */

/* `before` is SLUICE_BEFORE_*; b is announced as not nullable when `required`. */
void bench_open(struct bench *b, uint32_t streams, int32_t before, int required);
void bench_close(struct bench *b);
/* Takes a message; its status. */
sluice_status bench_take(struct bench *b, const struct wire *w, struct sluice_error *err);
/* The same, which must succeed. */
void bench_give(struct bench *b, const struct wire *w);
/* The next batch that goes out; 0 = none. The caller releases it. */
int bench_next(struct bench *b, struct sluice_batch *out);

#endif /* SLUICE_TEST_POSTGRES_WIRE_H */
