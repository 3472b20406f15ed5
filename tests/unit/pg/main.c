/* Runs the tests of plugins/common/pg. */
#include "tests.h"

int main(void)
{
    int failed = 0;
    failed += pg_test_numeric();
    failed += pg_test_decode();
    failed += pg_test_copy();
    failed += pg_test_settings();
    failed += pg_test_error();
    failed += pg_test_column();
    failed += pg_test_text();
    failed += pg_test_resolve();
    failed += pg_test_pgoutput();
    failed += pg_test_textdecode();
    failed += pg_test_encode();
    return failed;
}
