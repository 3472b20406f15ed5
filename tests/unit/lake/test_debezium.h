/* One value, one event, in the shape `debezium`. */
#ifndef TEST_LAKE_DEBEZIUM_H
#define TEST_LAKE_DEBEZIUM_H

#include "lake/change.h"
#include "support.h"

int run_debezium_tests(void);
int run_debezium_event_tests(void);

/* A stream db.sch.tab of the fields, with the database as a property. */
struct dbz_stream {
    struct ArrowSchema schema;
    struct sluice_stream_desc desc;
    const char *parts[2];
    uint32_t keys[2];
    struct sluice_pair properties[2];
};
void dbz_stream_init(struct dbz_stream *stream, const struct test_field *fields, int32_t before,
                     const char *keys);
void dbz_stream_free(struct dbz_stream *stream);

/* What the batches become; they are released. *status, err: the outcome. The caller frees it. */
char *dbz_render(const struct dbz_stream *stream, const struct sluice_lake_change_options *options,
                 struct sluice_batch *batches, uint32_t count, int64_t *events,
                 sluice_status *status, struct sluice_error *err);

#endif /* TEST_LAKE_DEBEZIUM_H */
