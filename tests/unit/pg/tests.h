/*
 * The groups of tests of plugins/common/pg: each runs one file's tests and gives the failures.
 */
#ifndef SLUICE_TEST_PG_TESTS_H
#define SLUICE_TEST_PG_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int pg_test_numeric(void);
int pg_test_decode(void);
int pg_test_copy(void);
int pg_test_settings(void);
int pg_test_error(void);
int pg_test_column(void);
int pg_test_text(void);
int pg_test_resolve(void);
int pg_test_pgoutput(void);
int pg_test_textdecode(void);
int pg_test_encode(void);

/* Bytes of a hex text; returns their number. */
size_t pg_test_unhex(const char *hex, uint8_t *out, size_t cap);

#endif /* SLUICE_TEST_PG_TESTS_H */
