/* What the files of the conformance checks share. */
#ifndef SLUICE_TESTKIT_CHECK_H
#define SLUICE_TESTKIT_CHECK_H

#include "testkit.h"

enum { CHECK_PASS = 0, CHECK_FAIL = 1, CHECK_SKIP = 2 };

#define CHECK_SETS_MAX 64

/* One running check: lives in a process of its own. */
struct check {
    const struct sluice_testkit_subject *subject;
    const struct sluice_component *component;
    struct sluice_pair set[CHECK_SETS_MAX]; /* options with {tmp} filled in */
    char values[CHECK_SETS_MAX][512];
    uint32_t set_count;
    char tmp[64];
    struct sluice_error err;
    char message[600];
};

struct check_entry {
    const char *name;
    const char *what;
    int (*run)(struct check *c);
};

/* Tables of checks, ended by a NULL name. */
extern const struct check_entry check_plugin_entries[];
extern const struct check_entry check_source_entries[];
extern const struct check_entry check_sink_entries[];
extern const struct check_entry check_transform_entries[];

/* Sets the message; returns `result`. */
int check_say(struct check *c, int result, const char *format, ...) SLUICE_PRINTF(3, 4);

#define EXPECT(c, condition, ...)                         \
    do {                                                  \
        if (!(condition)) {                               \
            return check_say(c, CHECK_FAIL, __VA_ARGS__); \
        }                                                 \
    } while (0)
/* Expects a call to answer `status`. */
#define EXPECT_STATUS(c, call, status)                                                    \
    do {                                                                                  \
        sluice_error_clear(&(c)->err);                                                    \
        sluice_status got_ = (call);                                                      \
        if (got_ != (status)) {                                                           \
            return check_say(c, CHECK_FAIL, "%s answered %s, expected %s: %.300s", #call, \
                             sluice_status_name(got_), sluice_status_name(status),        \
                             (c)->err.message);                                           \
        }                                                                                 \
    } while (0)

/* A host with the options of the subject; NULL with the message set. */
struct sluice_testkit_host *check_host(struct check *c);

/* Open descriptors of this process. */
int check_open_files(void);
/* Bytes that malloc has given out. */
uint64_t check_memory(void);

/* A number that follows from all values of a row; order of columns counts. */
uint64_t check_row_hash(const struct sluice_view *views, int64_t n, int64_t row);

#endif /* SLUICE_TESTKIT_CHECK_H */
