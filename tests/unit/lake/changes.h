/* Batches of changes, made by hand. */
#ifndef TEST_LAKE_CHANGES_H
#define TEST_LAKE_CHANGES_H

#include "support.h"

/* A stream public.t of id int32, name utf8, note utf8. */
struct test_stream {
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
    const char *parts[2];
    uint32_t keys[2];
};

/* `keys` are key columns as digits, e.g. "0"; "" = none. */
void test_stream_init(struct test_stream *stream, int32_t before, const char *keys);
void test_stream_free(struct test_stream *stream);

/* A change. Fields of rows are divided by '|'; "~" is NULL, "?" was not sent. `old` has the columns of
 * `before`; NULL = no such row. */
struct test_change {
    char op; /* 0 ends a list */
    uint64_t pos;
    int64_t seq;
    int64_t ts; /* -1 = NULL */
    const char *tx;
    const char *old;
    const char *now;
};

/* The batch of the changes, as a source would make it. */
void test_changes_batch(const struct test_stream *stream, const struct test_change *changes,
                        struct sluice_batch *out);
/* A TRUNCATE of one row. */
void test_truncate_batch(const struct test_stream *stream, uint64_t pos, int64_t seq, int64_t ts,
                         const char *tx, struct sluice_batch *out);

#endif /* TEST_LAKE_CHANGES_H */
