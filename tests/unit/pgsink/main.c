/* Runs the tests of plugins/sinks/postgres. */
#include "tests.h"

int main(void)
{
    return pgsink_test_names() + pgsink_test_types();
}
