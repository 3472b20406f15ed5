#include <stddef.h>

#include "log/log.h"
#include "sluice/abi.h"
#include "tests.h"

int main(void)
{
    sluice_log_setup(SLUICE_LOG_ERROR + 0, SLUICE_LOG_FORMAT_TEXT, 0);
    return test_token() + test_tree() + test_engine() + test_faults() + test_feed();
}
