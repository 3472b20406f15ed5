#ifndef TEST_S3_H
#define TEST_S3_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

int run_sign_tests(void);
int run_text_tests(void);
int run_creds_tests(void);
int run_verdict_tests(void);

#endif
