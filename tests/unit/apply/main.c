/* Runs the tests of plugins/common/apply. */
#include "tests.h"

int main(void)
{
    return apply_test_collapse() + apply_test_order() + apply_test_run();
}
