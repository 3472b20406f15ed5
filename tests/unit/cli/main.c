/* Unit tests of core/cli: what formats, parses and decides; commands as processes are tested in
 * tests/integration. */
#include "test_cli.h"

int main(void)
{
    return run_text_tests() + run_table_tests() + run_args_tests() + run_help_tests() +
           run_view_tests() + run_cell_tests() + run_misc_tests() + run_feed_view_tests() +
           run_until_tests();
}
