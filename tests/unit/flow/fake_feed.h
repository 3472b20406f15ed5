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

#define FEED_TABLES_MAX 8

struct feed_log {
    uint32_t tables;
    uint32_t transactions;
    uint32_t rows_per_tx;
    uint32_t tx_per_group;
    uint32_t load_at;      /* the load's transaction: position load_at * 10 */
    uint32_t schema_at;    /* from this transaction on the tables have one column more; 0 = never */
    int32_t schema_inside; /* within a group, without a boundary before it */
    uint32_t truncate_at;  /* this transaction empties table 0 first; 0 = none */
    int32_t split;         /* groups come as many batches without boundary */
    /* failures */
    _Atomic int32_t read_fail_at; /* before this group of the process, once; 0 = none */
    int32_t read_fail_kind;
    _Atomic int32_t load_fail_table; /* its load fails; -1 = none */
    int32_t load_fail_kind;          /* FAKE_STREAM if not set */
    int32_t load_fail_once;
    int64_t load_delay_us;
    int32_t hide_table; /* is not discovered; -1 = none */
    int32_t discover_problem_table;
    int32_t open_problem_table;
    _Atomic int32_t open_fail_times; /* open() of the source */
    uint32_t incarnation;            /* of table 0 */
    _Atomic int32_t lane_fail_times; /* opening a lane for changes in sink b */
    int32_t lane_fail_kind;
    uint64_t log_starts;              /* a feed opened before it is a gap */
    uint32_t identity;                /* of the log */
    _Atomic int32_t read_hang;        /* the feed's reader stands still until cancelled */
    int32_t refuse_table;             /* sink b refuses its load; -1 = none */
    _Atomic int32_t write_fail_times; /* changes in sink a */
    int32_t write_fail_kind;
    int64_t write_delay_us; /* of changes, in every sink */
    int64_t commit_delay_us;
    _Atomic int32_t commit_good_first; /* so many commits of sink a before the failing ones */
    int32_t other_load_after; /* a failed commit that is kept is followed by a load's record */
    _Atomic int32_t commit_fail_times; /* in sink a */
    int32_t commit_fail_kind;
    int32_t commit_fail_keeps;
    _Atomic int32_t write_block;    /* sink a takes nothing while set */
    _Atomic int32_t forget_commits; /* recover() shows no tokens */
    int32_t follow;                 /* does not END after the last transaction */
    int64_t group_delay_us;
    /* seen */
    _Atomic uint64_t acked;     /* newest position told */
    _Atomic int32_t early_ack;  /* an ack beyond what sink a has */
    _Atomic int32_t early_open; /* a feed opened beyond what the state has for sink a */
    _Atomic int32_t recovered;  /* records visited */
    _Atomic int32_t opens;
    _Atomic int32_t idles;
    _Atomic int32_t loads; /* tables that were loaded */
    uint64_t resumed_at;   /* of the last reader_open */
};
extern struct feed_log feed_log;

void feed_log_reset(void);
/* A pipeline of the log and that many sinks a, b …; rotates: commits only by rows. */
struct sluice_pipeline *feed_pipeline(uint32_t sinks, int32_t mode);
/* The same with sinks a and b behind a transform that holds back. */
struct sluice_pipeline *feed_pipeline_holding(int32_t mode);
extern const struct sluice_component feed_source_component;
extern const struct sluice_component feed_holding_component;
extern const struct sluice_component feed_sink_component;
extern const struct sluice_component feed_rotating_sink_component;

/* Sink `node` holds every row of the log exactly once (by reader's rule: newest complete load, then
 * changes after it); 0 and a message otherwise. from: first transaction expected in cdc_only. */
void feed_assert_whole(const char *node, uint32_t from);
uint32_t feed_commit_count(const char *node);
uint64_t feed_committed_up_to(const char *node);
/* Rows of changes that the sink has of the table up to that position. */
uint32_t feed_change_rows(const char *node, uint32_t table, uint64_t up_to);
uint32_t feed_schema_count(const char *node); /* versions begun for changes of table 0 */

/* Between the fakes' own files. */
void feed_sink_reset(void);
sluice_status feed_fail_as(struct sluice_error *err, int32_t kind, const char *what);

#endif /* SLUICE_TESTS_FLOW_FAKE_FEED_H */
