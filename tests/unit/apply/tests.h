/* The groups of tests of plugins/common/apply. */
#ifndef SLUICE_TEST_APPLY_TESTS_H
#define SLUICE_TEST_APPLY_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int apply_test_collapse(void);
int apply_test_order(void);
int apply_test_run(void);

#endif /* SLUICE_TEST_APPLY_TESTS_H */
