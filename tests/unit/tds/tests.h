/* The groups of tests of plugins/common/tds. */
#ifndef SLUICE_TEST_TDS_TESTS_H
#define SLUICE_TEST_TDS_TESTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

int tds_test_declare(void);
int tds_test_encode(void);

#endif /* SLUICE_TEST_TDS_TESTS_H */
