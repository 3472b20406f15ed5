/*
 * A scripted log with tables, and a sink that remembers, for tests of feeds.
 *
 * Transaction n of the log (1 … feed_log.transactions) ends at position n * 10 and inserts
 * feed_log.rows_per_tx rows; row j goes to table (n + j) % tables with id n * 1000 + j. A load sees
 * the transactions up to feed_log.load_at. So what a sink must hold is known, row for row.
 */
#ifndef SLUICE_TESTS_FLOW_FAKE_FEED_H
#define SLUICE_TESTS_FLOW_FAKE_FEED_H

#include "harness.h"

struct feed_log {
    uint32_t tables;
    uint32_t transactions;
    uint32_t rows_per_tx;
    uint32_t tx_per_group;
    uint32_t load_at;     /* the load's transaction: position load_at * 10 */
    uint32_t schema_at;   /* from this transaction on the tables have one column more; 0 = never */
    uint32_t truncate_at; /* this transaction empties table 0 first; 0 = none */
    int32_t split;        /* groups come as many batches without boundary */
    /* failures */
    _Atomic int32_t read_fail_at; /* before this group of the process, once; 0 = none */
    int32_t read_fail_kind;
    int32_t load_fail_table;           /* its load is refused for good; -1 = none */
    _Atomic int32_t commit_fail_times; /* in sink a */
    int32_t commit_fail_kind;
    int32_t commit_fail_keeps;
    _Atomic int32_t write_block;    /* sink a takes nothing while set */
    _Atomic int32_t forget_commits; /* recover() shows no tokens */
    int32_t follow;                 /* does not END after the last transaction */
    int64_t group_delay_us;
    /* seen */
    _Atomic uint64_t acked;    /* newest position told */
    _Atomic int32_t early_ack; /* an ack beyond what sink a has */
    _Atomic int32_t opens;
    _Atomic int32_t idles;
    _Atomic int32_t loads; /* tables that were loaded */
    uint64_t resumed_at;   /* of the last reader_open */
};
extern struct feed_log feed_log;

void feed_log_reset(void);
/* A pipeline of the log and that many sinks a, b …; rotates: commits only by rows. */
struct sluice_pipeline *feed_pipeline(uint32_t sinks, int32_t mode);
extern const struct sluice_component feed_source_component;
extern const struct sluice_component feed_sink_component;
extern const struct sluice_component feed_rotating_sink_component;

/* Sink `node` holds every row of the log exactly once (by reader's rule: newest complete load, then
 * changes after it); 0 and a message otherwise. from: first transaction expected in cdc_only. */
void feed_assert_whole(const char *node, uint32_t from);
uint32_t feed_commit_count(const char *node);
uint32_t feed_schema_count(const char *node); /* versions begun for changes of table 0 */

#endif /* SLUICE_TESTS_FLOW_FAKE_FEED_H */
