#include "fake.h"

#define RUN(name) failed += _cmocka_run_group_tests(#name, name, name##_count, NULL, NULL)

int main(void)
{
    int failed = 0;
    RUN(scalar_tests);
    RUN(yaml_tests);
    RUN(expand_tests);
    RUN(set_tests);
    RUN(option_tests);
    RUN(pipeline_tests);
    RUN(graph_tests);
    RUN(table_tests);
    RUN(write_tests);
    RUN(schema_tests);
    RUN(memory_tests);
    return failed != 0;
}
