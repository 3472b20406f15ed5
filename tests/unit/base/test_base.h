/* One array of tests per file; main.c runs them all. */
#ifndef TESTS_UNIT_BASE_TEST_BASE_H
#define TESTS_UNIT_BASE_TEST_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

int run_alloc_tests(void);
int run_str_tests(void);
int run_text_tests(void);
int run_map_tests(void);
int run_clock_tests(void);
int run_thread_tests(void);
int run_failpoint_tests(void);

#endif /* TESTS_UNIT_BASE_TEST_BASE_H */
