#include "support.h"
#include "test_debezium.h"

int main(void)
{
    return run_debezium_tests() + run_debezium_event_tests() + run_change_tests() +
           run_change_lane_tests() + run_number_tests() + run_time_tests() + run_text_tests() +
           run_encoder_tests() + run_key_tests() + run_codec_tests() + run_commit_tests() +
           run_sink_tests() + run_store_tests() + run_read_tests();
}
