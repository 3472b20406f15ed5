#ifndef SLUICE_TESTS_FLOW_TESTS_H
#define SLUICE_TESTS_FLOW_TESTS_H

#include <stdint.h>
#include <string.h>

int test_engine(void);
int test_feed(void);
int test_feed_chaos(void);
int test_feed_faults(void);
int test_faults(void);
int test_freeze(void);
int test_token(void);
int test_tree(void);

#endif /* SLUICE_TESTS_FLOW_TESTS_H */
