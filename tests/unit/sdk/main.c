/* Runs all groups, also after one failed. */
#include "test_sdk.h"

int main(void)
{
    int failed = 0;
    failed += run_text_tests();
    failed += run_schema_tests();
    failed += run_build_tests();
    failed += run_array_tests();
    failed += run_check_tests();
    failed += run_change_tests();
    failed += run_property_tests();
    failed += run_name_tests();
    failed += run_oom_tests();
    return failed == 0 ? 0 : 1;
}
