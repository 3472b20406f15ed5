/*
 * The engine's insides: what its files share. Threads: see README.md.
 *
 * Lock order: engine->mutex, then nothing else of the engine under it except atomics. Plugin calls
 * are never made while engine->mutex is held.
 */
#ifndef SLUICE_FLOW_INTERNAL_H
#define SLUICE_FLOW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/map.h"
#include "flow/chain.h"
#include "flow/engine.h"
#include "plugin/host.h"
#include "sluice/backoff.h"
#include "sluice/schema.h"

/* How often changes are committed at sinks whose commits are costly, where `batch:` says nothing. */
#define SLUICE_FLOW_ROTATE_INTERVAL_US (60 * 1000000ll)

struct sluice_feed; /* feed.h */

/* A resume position: opaque bytes of the source that memcmp orders. */
struct sluice_feed_position {
    uint8_t *data; /* owned; NULL when cap is 0 */
    uint32_t size;
    uint32_t cap;
};

/* How far a feed came in a sink, by the state or by the sink's own token. */
struct sluice_flow_kept_feed {
    char *source; /* of the state alone, like the next two */
    char *shard;
    char *sink;
    uint64_t epoch;
    uint64_t void_epoch; /* of the state alone: what the sink says up to it is void */
    struct sluice_feed_position position;
    uint64_t changes;
    uint64_t transactions;
    int armed; /* of the state: a first commit was asked for, so the sink may have one */
};

/* What the state says of a stream in a sink, for the load that goes on. */
struct sluice_flow_known {
    int32_t status; /* SLUICE_STATE_STREAM_* */
    char run[40];   /* "" = what there is counts no more */
    struct sluice_feed_position position;
};

/* ---- a sink instance ---- */
struct sluice_flow_sink {
    const struct sluice_pipeline_node *node;
    const struct sluice_sink_api *api;
    struct sluice_host_instance *host;
    struct sluice_sink *sink;
    struct sluice_map
        complete; /* stream name -> struct sluice_flow_complete: recovered for this load */
    struct sluice_map begun; /* stream name -> source id: who writes it in this run */
    struct sluice_map
        targets; /* table of the target -> name of the stream (owned) that goes into it */
    const struct sluice_pipeline *pipeline;
    struct sluice_map lanes; /* shard id -> struct sluice_flow_kept_feed: its newest token */
    int recovers;            /* the sink keeps tokens */
    int ctl_ready;
    pthread_mutex_t ctl; /* one [ctl] call at a time: lanes of feeds make some, too */
};

struct sluice_flow_complete {
    uint64_t rows;
    char run[40];
    struct sluice_feed_position position; /* of the load */
};

/* ---- one stream's way into one sink ---- */
struct sluice_flow_leaf {
    struct sluice_flow_sink *sink;
    struct sluice_stream_desc *desc; /* as it reaches the sink; NULL = dropped */
    int needed; /* this load has to bring it; does not change while shards of the stream are read */
    int complete;
    int follows;    /* changes of the stream go to this sink */
    void *position; /* owned: the load's; changes at or before it are in the load */
    uint64_t position_size;
    _Atomic int32_t failed; /* given up; workers look, so that they write no more for it */
    uint32_t shards_left;   /* not yet committed in this attempt; controller only */
    uint64_t rows;          /* committed in this attempt; controller only */
};

/* ---- a stream of a source ---- */
struct sluice_flow_stream {
    struct sluice_flow_source *source;
    struct sluice_stream_desc *desc; /* as the source delivers it, with the engine's stream id */
    uint64_t source_stream_id;
    char *name;
    char *
        incarnation; /* which table is behind the name, by discovery; NULL = the source is silent */
    char run[40];
    struct sluice_flow_leaf *leaves; /* as source->tree.leaves */
    _Atomic int32_t status;          /* SLUICE_PROGRESS_* */
    _Atomic int32_t abandoned;       /* running shards are to stop: no sink takes it any more */
    _Atomic uint64_t changes;        /* of its feed, by this process */
    _Atomic uint64_t rows;           /* read in this attempt */
    _Atomic uint64_t bytes;
    _Atomic int64_t limit_left; /* rows that may still be read; INT64_MAX = no limit */
    _Atomic int64_t started_us;
    _Atomic int64_t finished_us;
    _Atomic uint32_t retries;
    _Atomic int64_t rows_estimate;
    _Atomic(char *) message;              /* why it failed; set once */
    int selected;                         /* to be loaded by the attempt that is being opened */
    int follows;                          /* its changes are followed */
    struct sluice_stream_desc *feed_desc; /* as open() gave it, with the source's ids */
    int opened;                           /* by that attempt: the source delivers it */
    uint32_t discovered;                  /* generation that last saw it */
};

/* ---- a shard to be read ---- */
struct sluice_flow_shard {
    struct sluice_flow_shard *next; /* in a list of the pool */
    struct sluice_flow_stream *stream;
    struct sluice_flow_source *source;
    struct sluice_shard_desc desc;        /* id, handle and stream id are owned copies */
    uint64_t stream_ids[1];               /* the engine's id, for sinks */
    struct sluice_shard_desc source_desc; /* the same with the source's id, for its readers */
    uint64_t rows_read;                   /* by the current try */
    double weight;
    uint32_t generation;   /* of the source's attempt */
    int64_t not_before_us; /* monotonic: backoff */
    struct sluice_backoff backoff;
    unsigned char *committed;   /* per leaf */
    uint64_t *leaf_rows;        /* per leaf: rows given to the lane by the try that committed */
    sluice_status status;       /* of the last try */
    size_t err_leaf;            /* leaf that failed; SIZE_MAX = the source */
    unsigned char *leaf_failed; /* per leaf: given up, other leaves went on */
    /* Made when first needed: a kilobyte each would be much for 100,000 shards. */
    struct sluice_error *err;
    struct sluice_error *leaf_err; /* per leaf */
};

/* ---- a source instance ---- */
struct sluice_flow_source {
    struct sluice_engine *engine;
    const struct sluice_pipeline_node *node;
    const struct sluice_source_api *api;
    struct sluice_tree tree;
    struct sluice_flow_sink **leaf_sinks; /* per leaf */
    struct sluice_host_instance *host;
    struct sluice_source *src; /* NULL between attempts; guarded by engine->mutex for cancel */
    uint32_t generation;       /* attempt number, from 1 */
    int warned;                /* of patterns that match nothing */
    uint32_t running;          /* shards being read; guarded by engine->mutex */
    _Atomic int32_t lost;      /* the snapshot is gone: no new shards, open anew when none runs */
    struct sluice_backoff backoff;
    int64_t reopen_at_us;
    struct sluice_flow_stream **streams; /* guarded by engine->mutex while growing */
    size_t stream_count;
    size_t stream_cap;
    struct sluice_map by_name; /* stream name -> stream */
    struct sluice_feed *feeds; /* one per CHANGES shard; the list is guarded by engine->mutex */
    int had_whole;             /* some stream was complete when this attempt opened */
    int64_t measured_us;
};

/* ---- the engine ---- */
struct sluice_engine {
    const struct sluice_pipeline *pipeline;
    struct sluice_registry *registry;
    struct sluice_state *state;  /* NULL = nothing is remembered */
    struct sluice_state *stamps; /* names runs; also where nothing else is remembered */
    struct sluice_run_options options;
    char **table_patterns;
    struct sluice_cancel cancel;
    struct sluice_budget budget;
    struct sluice_metrics *metrics;
    struct sluice_flow_env env;
    struct sluice_state_load load;
    _Atomic(const char *) load_id;            /* of `load`, for watchers; "" until it is chosen */
    struct sluice_flow_kept_feed *kept_feeds; /* by the state, when the run began */
    size_t kept_feed_count;
    size_t kept_feed_cap;
    struct sluice_map known; /* "source\x1fstream\x1fsink" -> struct sluice_flow_known; [ctl] */
    int resumed;
    int opened;            /* every node is open: all streams are known */
    uint32_t streams_left; /* at the end: neither complete nor given up */
    int64_t run_id;
    int64_t finish_us; /* for feeds to commit what they have when the run is to end */

    struct sluice_flow_sink *sinks;
    size_t sink_count;
    struct sluice_flow_source *sources;
    size_t source_count;
    uint64_t next_stream_id;

    pthread_mutex_t mutex;
    pthread_cond_t work;                /* for workers: a shard is ready, or stop */
    pthread_cond_t events;              /* for the controller: a shard came back */
    struct sluice_flow_shard *ready;    /* largest first */
    struct sluice_flow_shard *finished; /* for the controller */
    uint32_t busy;                      /* shards out at workers */
    int stopping;                       /* workers end */
    pthread_t *workers;
    uint32_t worker_count;   /* planned */
    uint32_t worker_threads; /* started */

    _Atomic int32_t drained; /* by the user */
    _Atomic int32_t failed;  /* `fatal` is set */
    pthread_mutex_t fatal_mutex;
    struct sluice_error fatal;

    _Atomic(const char *) phase;
    _Atomic uint32_t retries;
    int64_t started_us;
};

/* known.c [ctl] */
sluice_status sluice_flow_known_read(struct sluice_engine *engine, struct sluice_error *err);
sluice_status sluice_flow_kept_feeds_read(struct sluice_engine *engine, struct sluice_error *err);
void sluice_flow_known_free(struct sluice_engine *engine);
sluice_status sluice_flow_forget_left(struct sluice_flow_source *source, struct sluice_error *err);

/* engine.c */
void sluice_flow_fail(struct sluice_engine *engine, const struct sluice_error *err);
int sluice_flow_stopped(struct sluice_engine *engine); /* drained, failed or cancelled */
void sluice_flow_cancel_all(struct sluice_engine *engine);
int64_t sluice_flow_row_limit(const struct sluice_engine *engine); /* INT64_MAX = none */
/* SLUICE_STATE_STREAM_* of an unfinished load that this run goes on with; -1 = not in the state. */
int32_t sluice_flow_known(const struct sluice_engine *engine, const char *source,
                          const char *stream, const char *sink);

struct sluice_flow_known *sluice_flow_known_entry(const struct sluice_engine *engine,
                                                  const char *source, const char *stream,
                                                  const char *sink);
/* Makes it PENDING in the state and here, so that it is loaded anew whatever sinks have of it. */
sluice_status sluice_flow_forget_stream(struct sluice_engine *engine, const char *source,
                                        const char *stream, const char *sink,
                                        struct sluice_error *err);
const struct sluice_flow_kept_feed *sluice_flow_kept_feed(const struct sluice_engine *engine,
                                                          const char *source, const char *shard,
                                                          const char *sink);
/* The lane is about to commit for the first time: recovery must look for it until it is found or the
 * state has its epoch. Durable. [any] */
sluice_status sluice_flow_arm_lane(struct sluice_engine *engine, const char *shard,
                                   const char *sink, struct sluice_error *err);
/* 1 if the state has a stream of that sink whose load may have become complete without its knowing. */
int sluice_flow_known_loading(const struct sluice_engine *engine, const char *sink);
/* 1 if the mode has changes, or a load. */
int sluice_flow_has_changes(const struct sluice_engine *engine);
int sluice_flow_has_load(const struct sluice_engine *engine);

/* sink.c [ctl] */
sluice_status sluice_flow_sink_open(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                    struct sluice_error *err);
sluice_status sluice_flow_sink_recover(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                       struct sluice_error *err);
sluice_status sluice_flow_sink_begin(struct sluice_flow_sink *sink,
                                     const struct sluice_stream_desc *desc, const char *source,
                                     const char *run, struct sluice_error *err);
/* Changes of the stream will follow, in this version. Also on lane threads. */
sluice_status sluice_flow_sink_begin_changes(struct sluice_flow_sink *sink,
                                             const struct sluice_stream_desc *desc,
                                             const char *source, struct sluice_error *err);
sluice_status sluice_flow_sink_end(struct sluice_engine *engine, struct sluice_flow_stream *stream,
                                   struct sluice_flow_leaf *leaf, struct sluice_error *err);
void sluice_flow_sink_close(struct sluice_engine *engine, struct sluice_flow_sink *sink);
/* The failure concerns one stream alone, not the whole source or sink. */
int sluice_flow_is_stream_error(const struct sluice_error *err, int from_sink);

/* choose.c [ctl]: discovers, matches and binds; fills source->streams and marks what is needed. */
sluice_status sluice_flow_source_choose(struct sluice_flow_source *source,
                                        struct sluice_chain *binder, struct sluice_error *err);
struct sluice_flow_stream *sluice_flow_source_stream(struct sluice_flow_source *source,
                                                     const char *name);
/* Takes the description as the source delivers it and binds it to every leaf. */
sluice_status sluice_flow_stream_bind(struct sluice_flow_stream *stream,
                                      const struct sluice_stream_desc *desc,
                                      struct sluice_chain *binder, struct sluice_error *err);
/* Leaving the stream out would lose its changes in silence: an error that stops the run. */
sluice_status sluice_flow_refuse_to_leave(const struct sluice_flow_stream *stream,
                                          const struct sluice_error *problem,
                                          struct sluice_error *err);
/* 1 if some sink has the stream whole and gets its changes. */
int sluice_flow_stream_has_leaf(const struct sluice_flow_stream *stream);
void sluice_flow_warn_unmatched(const struct sluice_pipeline_node *node, const unsigned char *met);
/* 1 if the pipeline and the run's --tables choose the stream. */
int sluice_flow_chooses(const struct sluice_pipeline_node *node,
                        const struct sluice_run_options *options,
                        const struct sluice_stream_desc *desc);

/* source.c [ctl] */
sluice_status sluice_flow_source_init(struct sluice_engine *engine,
                                      struct sluice_flow_source *source, size_t node,
                                      struct sluice_error *err);
void sluice_flow_source_free(struct sluice_flow_source *source);
/* One attempt: creates the instance, chooses, opens, begins streams at the sinks, and appends the
 * shards to *shards. */
sluice_status sluice_flow_source_open(struct sluice_flow_source *source,
                                      struct sluice_flow_shard **shards, struct sluice_error *err);
void sluice_flow_source_close(struct sluice_flow_source *source);
/* Asks the source how far behind `position` is; UNSUPPORTED if it cannot tell. */
sluice_status sluice_flow_source_measure(struct sluice_flow_source *source,
                                         struct sluice_bytes position,
                                         struct sluice_source_lag *out, struct sluice_error *err);
void sluice_flow_shard_free(struct sluice_flow_shard *shard);

/* The waits of `retry`, whose max of 0 means no further try (a backoff's means no limit). */
void sluice_flow_backoff_init(struct sluice_backoff *backoff, const struct sluice_retry *retry);

/* stream.c */
struct sluice_flow_stream *sluice_flow_stream_create(struct sluice_flow_source *source,
                                                     const struct sluice_stream_desc *desc,
                                                     struct sluice_error *err);
void sluice_flow_stream_free(struct sluice_flow_stream *stream);
/* Gives the stream up (once): status, message, state, log. [ctl] */
void sluice_flow_stream_fail(struct sluice_flow_stream *stream, const struct sluice_error *err);
/* Writes the stream's status in that sink to the state. [ctl] */
sluice_status sluice_flow_stream_remember(struct sluice_flow_stream *stream, size_t leaf,
                                          int32_t status, const char *message,
                                          struct sluice_error *err);

/* The engine's id of a version of the stream's columns: the same in every process. [any] */
sluice_status sluice_flow_schema_id(struct sluice_flow_stream *stream,
                                    const struct sluice_stream_desc *desc, uint64_t *out,
                                    struct sluice_error *err);
/* Remembers where the stream's load in that sink stands. 0 = out of memory. [ctl] */
int sluice_flow_leaf_place(struct sluice_flow_leaf *leaf, struct sluice_bytes position);

/* Gives the stream up in one sink. The others go on with it; if there are none, it is over. [ctl] */
void sluice_flow_leaf_fail(struct sluice_flow_stream *stream, size_t leaf,
                           const struct sluice_error *err);
/* 1 while some sink still is to get the stream. [ctl] */
int sluice_flow_stream_open(const struct sluice_flow_stream *stream);

/* shard.c: reads one shard to its end on the calling worker. Fills shard->status/err. */
void sluice_flow_shard_run(struct sluice_engine *engine, struct sluice_flow_shard *shard);
/* What the last try died of. */
struct sluice_error sluice_flow_shard_error(const struct sluice_flow_shard *shard);

/* pool.c: workers and the lists between them and the controller. */
sluice_status sluice_pool_start(struct sluice_engine *engine, uint32_t workers,
                                struct sluice_error *err);
void sluice_pool_stop(struct sluice_engine *engine); /* joins */
/* Puts shards (a list) to the ready list. */
void sluice_pool_add(struct sluice_engine *engine, struct sluice_flow_shard *shards);
/* Takes back all ready shards of a source (generation is stale) or stream. */
void sluice_pool_drop(struct sluice_engine *engine, const struct sluice_flow_source *source,
                      const struct sluice_flow_stream *stream);
/* Waits for finished shards at most timeout_us; returns them as a list, NULL = none. */
struct sluice_flow_shard *sluice_pool_wait(struct sluice_engine *engine, int64_t timeout_us);
/* Shards that are ready, delayed or at workers. */
int sluice_pool_idle(struct sluice_engine *engine);

#endif /* SLUICE_FLOW_INTERNAL_H */
