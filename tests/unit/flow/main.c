#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "log/log.h"
#include "sluice/abi.h"
#include "tests.h"

int main(void)
{
    const char *only = getenv("FLOW_TEST"); /* a cmocka pattern */
    if (only != NULL) {
        cmocka_set_test_filter(only);
    }
    sluice_log_setup(SLUICE_LOG_ERROR + 0, SLUICE_LOG_FORMAT_TEXT, 0);
    return test_freeze() + test_token() + test_tree() + test_engine() + test_faults() +
           test_feed() + test_feed_faults() + test_feed_chaos();
}
