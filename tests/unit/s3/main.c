#include "test_s3.h"

int main(void)
{
    return run_sign_tests() + run_text_tests() + run_creds_tests() + run_verdict_tests();
}
