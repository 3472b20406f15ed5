/* The groups of tests of plugins/sinks/postgres that need no server. */
#ifndef SLUICE_TEST_PGSINK_TESTS_H
#define SLUICE_TEST_PGSINK_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int pgsink_test_names(void);
int pgsink_test_types(void);

#endif /* SLUICE_TEST_PGSINK_TESTS_H */
