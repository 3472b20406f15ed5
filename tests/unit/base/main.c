/* Unit tests of core/base. */
#include "test_base.h"

int main(void)
{
    return run_alloc_tests() + run_str_tests() + run_text_tests() + run_map_tests() +
           run_clock_tests() + run_thread_tests() + run_failpoint_tests();
}
