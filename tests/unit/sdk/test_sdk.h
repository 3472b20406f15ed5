/* The test groups of the SDK, one a file. */
#ifndef TEST_SDK_H
#define TEST_SDK_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sluice/array.h"
#include "sluice/build.h"
#include "sluice/view.h"

int run_text_tests(void);   /* errors, logs, options, positions, backoff */
int run_schema_tests(void); /* types, schemas, stream descriptions */
int run_build_tests(void);
int run_array_tests(void); /* sharing, selecting, threads */
int run_check_tests(void);
int run_change_tests(void);
int run_property_tests(void);
int run_name_tests(void); /* patterns, canonical text */
int run_oom_tests(void);

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A schema of one column of the given Arrow format. */
static inline void one_column(struct ArrowSchema *schema, const char *format, int32_t nullable)
{
    struct sluice_type type;
    assert_int_equal(sluice_type_parse(format, &type, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_init(schema, 1, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(schema, 0, "c", &type, nullable, NULL, 0, NULL), SLUICE_OK);
}

#endif /* TEST_SDK_H */
