/* Shared by the lake's tests: a host, a store in memory, and rows as text. */
#ifndef TEST_LAKE_SUPPORT_H
#define TEST_LAKE_SUPPORT_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "lake/encoder.h"
#include "lake/lake.h"
#include "lake/store.h"
#include "sluice/array.h"
#include "sluice/build.h"

int run_number_tests(void);
int run_time_tests(void);
int run_text_tests(void);
int run_encoder_tests(void);
int run_key_tests(void);
int run_codec_tests(void);
int run_commit_tests(void);
int run_sink_tests(void);
int run_change_tests(void);
int run_change_lane_tests(void);
int run_store_tests(void);
int run_read_tests(void);

/* ---- host ---- */

/* Options as "key=value" strings, ended by NULL; enums by index are looked up by the test. */
struct test_option {
    const char *key;
    int32_t type;
    int64_t number;
    const char *string;
};

struct test_host {
    struct sluice_host host;
    const struct test_option *options; /* ended by key == NULL */
    int64_t clock_us;                  /* monotonic; moved by tests */
    _Atomic int64_t memory;
    int32_t cancelled;
    _Atomic int64_t memory_peak;
    /* Failpoints: `fail_at` fails once after `fail_skip` passes. Only one host at a time has them. */
    const char *fail_at;
    int32_t fail_skip;
    int32_t fail_armed;
};

void test_host_init(struct test_host *host, const struct test_option *options);

/* ---- rows ---- */

struct test_field {
    const char *name;
    const char *format;
    const char *metadata[8]; /* key, value, … NULL */
};

/* A schema of the fields (ended by name == NULL), all nullable. */
void test_schema(struct ArrowSchema *schema, const struct test_field *fields);

/* What the encoder makes of the array; malloc'd, NUL-terminated. NULL on an error, then *err. */
char *test_render(const struct ArrowSchema *schema, const struct ArrowArray *array, int32_t format,
                  int32_t binary, int32_t header, struct sluice_error *err);

/* Renders a column of one text; NULL = NULL. */
char *test_render_text(const char *format, const char *key, const char *value, const char *text,
                       size_t size, int32_t out_format, struct sluice_error *err);

/* ---- store in memory ---- */

struct mem_object {
    char *key;
    uint8_t *data;
    uint64_t size;
};

struct mem_store {
    pthread_mutex_t mutex; /* uploads may run in parallel */
    const struct sluice_host *host;
    struct mem_object *objects;
    uint32_t count;
    uint32_t uploads_open;
    uint32_t room;      /* bytes a room has; small ones try the codecs */
    int32_t lose_reply; /* the next put succeeds, but answers `lost_status` */
    sluice_status lost_status;
    int32_t fail_put;    /* the next puts fail without effect */
    int32_t fail_upload; /* the next advance fails */
};

extern const struct sluice_lake_store_api mem_store_api;
void mem_store_init(struct mem_store *store, const struct sluice_host *host);
void mem_store_free(struct mem_store *store);
const struct mem_object *mem_store_find(const struct mem_store *store, const char *key);
void mem_store_add(struct mem_store *store, const char *key, const void *data, uint64_t size);
static inline struct sluice_lake_store *mem_store_cast(struct mem_store *store)
{
    return (struct sluice_lake_store *)(void *)store;
}

/* The first key that holds both texts, or NULL. */
const char *mem_store_key(const struct mem_store *store, const char *a, const char *b);

#endif /* TEST_LAKE_SUPPORT_H */
