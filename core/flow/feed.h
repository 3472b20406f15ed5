/*
 * Feeds: the changes of one CHANGES shard on their way from the source to its sinks.
 *
 * A feed has a thread of its own, which reads, transforms and hands over; each of its lanes has
 * another one, which writes and commits, so that a sink that stalls never keeps the reader from
 * answering its server. Between them stands one bounded queue per lane. Positions and epochs of
 * lanes live as long as the feed; readers, lanes and chains as long as one try.
 *
 * Order: sink durable (lane thread) → state durable (sluice_feed_checkpoint) → source told (feed
 * thread). Threads are named on each function: [feed] the feed's own, [lane] a lane's own.
 */
#ifndef SLUICE_FLOW_FEED_H
#define SLUICE_FLOW_FEED_H

#include "flow/internal.h"

/* 0 = out of memory, and the position is as before. */
int sluice_feed_position_set(struct sluice_feed_position *to, struct sluice_bytes from);
void sluice_feed_position_free(struct sluice_feed_position *position);
struct sluice_bytes sluice_feed_position_bytes(const struct sluice_feed_position *position);

/* ---- lanes ---- */

enum { FEED_ITEM_BATCH = 1, FEED_ITEM_SCHEMA = 2, FEED_ITEM_BOUNDARY = 3 };

struct sluice_feed_item {
    struct sluice_feed_item *next;
    int32_t kind;
    struct sluice_batch batch;            /* BATCH */
    struct sluice_stream_desc *desc;      /* SCHEMA; owned */
    const char *stream;                   /* BATCH, SCHEMA: name; lives as long as the engine */
    struct sluice_feed_position position; /* BOUNDARY */
    uint64_t bytes;        /* counted in the queue and the budget: what it holds of memory */
    uint64_t data_bytes;   /* of its rows: what `batch.bytes` counts */
    uint64_t transactions; /* that begin in this batch */
    int64_t commit_us;     /* wall clock: when its newest transaction committed; 0 */
};

struct sluice_feed_lane {
    struct sluice_feed *feed;
    struct sluice_flow_sink *sink;
    size_t leaf;
    struct sluice_lane *lane; /* of this try; NULL = none */
    struct sluice_shard_desc shard;
    pthread_t thread;
    int threaded;

    pthread_mutex_t mutex; /* guards all from here to the next comment */
    pthread_cond_t changed;
    struct sluice_feed_item *head;
    struct sluice_feed_item **tail;
    struct sluice_feed_item *last; /* the one before *tail; NULL = the queue is empty */
    uint64_t queued_bytes;
    uint64_t queued_boundaries;
    int finishing; /* no more items: write, commit what can be, end; 2 = ended */
    int aborting;  /* throw all away and end */
    sluice_status status;
    struct sluice_error err;
    struct sluice_feed_position
        committed;         /* durable in the sink, or passed with nothing to write */
    uint64_t epoch;        /* of the last commit with data */
    uint64_t changes;      /* rows committed by this process */
    uint64_t transactions; /* committed by this process */
    uint64_t base_changes; /* by earlier processes */
    uint64_t base_transactions;
    int64_t oldest_us; /* wall clock of the oldest transaction that is not committed; 0 = none */
    int moved;         /* since the last checkpoint */

    /* the lane's thread alone, or nobody's between tries */
    int unknown;         /* a commit's outcome is not known: ask the sink before writing again */
    int armed;           /* the state knows that the sink may have a commit of this lane */
    uint64_t sure_epoch; /* the sink has had this commit: it must find it again */
    uint64_t queue_limit;
    uint64_t dirty_rows;
    uint64_t dirty_bytes;
    int64_t dirty_since_us; /* monotonic */
    int at_boundary;        /* all that was written ends at `reached` */
    struct sluice_feed_position reached;
    struct sluice_feed_position start; /* where this try began; constant during it */
    uint64_t dirty_transactions;
};

/* [ctl] */
sluice_status sluice_feed_lane_init(struct sluice_feed_lane *lane, struct sluice_feed *feed,
                                    size_t leaf, struct sluice_error *err);
void sluice_feed_lane_free(struct sluice_feed_lane *lane);
/* Opens the sink's lane behind the committed position and starts the thread. [feed] */
sluice_status sluice_feed_lane_open(struct sluice_feed_lane *lane, struct sluice_error *err);
/* Ends the thread and frees the sink's lane. What is queued is thrown away. [feed] */
void sluice_feed_lane_abort(struct sluice_feed_lane *lane);
/* Nothing more will be put: the thread shall write and commit what ends at a boundary. [feed] */
void sluice_feed_lane_end(struct sluice_feed_lane *lane);
/* Waits until it has, then as abort. AGAIN: it is not done at
 * `deadline_us` (monotonic). Answers the lane's failure. [feed] */
sluice_status sluice_feed_lane_finish(struct sluice_feed_lane *lane, int64_t deadline_us,
                                      struct sluice_error *err);
/* Enqueues. Moves the batch on OK. AGAIN: the queue stayed full for timeout_us. The lane's own
 * failure is answered here. [feed] */
sluice_status sluice_feed_lane_put(struct sluice_feed_lane *lane, const char *stream,
                                   struct sluice_batch *batch, int64_t timeout_us,
                                   struct sluice_error *err);
/* Transactions that begin in the batch: each has one first row, in whichever table. */
uint64_t sluice_feed_transactions(const struct sluice_batch *batch);
/* These are never refused for want of room. [feed] */
sluice_status sluice_feed_lane_put_schema(struct sluice_feed_lane *lane, const char *stream,
                                          const struct sluice_stream_desc *desc,
                                          struct sluice_error *err);
sluice_status sluice_feed_lane_put_boundary(struct sluice_feed_lane *lane,
                                            struct sluice_bytes position, struct sluice_error *err);
/* The failure of the lane's thread, if it has one. [feed] */
sluice_status sluice_feed_lane_check(struct sluice_feed_lane *lane, struct sluice_error *err);

/* ---- streams ---- */

struct sluice_feed_stream {
    struct sluice_feed *feed;
    struct sluice_flow_stream *stream;
    uint64_t source_stream_id;
    /* of one try; [feed] */
    struct sluice_stream_desc *desc;      /* as the source delivers it, with the engine's ids */
    struct sluice_stream_desc *announced; /* by a SCHEMA batch; NULL = as open() said */
    struct sluice_stream_desc *from;      /* freeze: the source's own, which is mapped to desc */
    struct sluice_remap *remap;           /* freeze: leaves new columns out; NULL = none */
    uint64_t source_schema_id;            /* what the source calls the version in force */
    struct ArrowSchema envelope;          /* of its batches as they come in */
    struct sluice_chain chain;
    int open;              /* chain, desc and envelope are those of the announced version */
    uint64_t *begun;       /* per leaf: id of the version that its sink knows in this try; 0 */
    unsigned char *wanted; /* per leaf, for the chain */
    int touched;           /* has had a batch since the last boundary */
    struct sluice_feed_stream *next_touched;
};

sluice_status sluice_feed_stream_init(struct sluice_feed_stream *fs, struct sluice_feed *feed,
                                      struct sluice_flow_stream *stream, struct sluice_error *err);
/* Back to the state before a try. */
void sluice_feed_stream_reset(struct sluice_feed_stream *fs);
void sluice_feed_stream_free(struct sluice_feed_stream *fs);
/* Takes a SCHEMA batch's description. Policy and binding follow with the first row that is due. [feed] */
sluice_status sluice_feed_stream_announce(struct sluice_feed_stream *fs,
                                          const struct sluice_stream_desc *desc,
                                          struct sluice_error *err);
/* Checks, counts and pushes a CHANGES or TRUNCATE batch towards the lanes; consumes it. SCHEMA
 * (FATAL) when the columns changed and the policy says stop. [feed] */
sluice_status sluice_feed_stream_push(struct sluice_feed_stream *fs, struct sluice_batch *batch,
                                      struct sluice_error *err);

/* ---- feeds ---- */

/* sluice_feed.stop */
enum {
    FEED_GO = 0,
    FEED_FINISH = 1, /* end soon, committing what ends at a boundary */
    FEED_ABANDON = 2 /* the same within a moment, since the source is opened anew */
};

struct sluice_feed {
    struct sluice_feed *next; /* of the source */
    struct sluice_engine *engine;
    struct sluice_flow_source *source;
    struct sluice_shard_desc desc; /* owned: id, handle, start */
    struct sluice_feed_lane *lanes;
    size_t lane_count;
    struct sluice_feed_stream **streams; /* sorted by source_stream_id; made per attempt */
    size_t stream_count;

    pthread_t thread;
    _Atomic int32_t started; /* the thread is there; changed by [ctl] */
    _Atomic int32_t stop;    /* FEED_* */
    _Atomic int32_t over;    /* the thread has nothing more to do */
    _Atomic int32_t status;  /* SLUICE_FEED_* */
    _Atomic int32_t ended;   /* the source said END, and all of it is committed */
    _Atomic int32_t stalled; /* by the controller */

    struct sluice_reader *reader;         /* [feed] */
    struct sluice_feed_stream *touched;   /* [feed] */
    struct sluice_shard_desc reader_desc; /* [feed] */
    struct sluice_feed_position boundary; /* [feed] of the batch at hand */
    struct sluice_feed_position tried;    /* [feed] how far all lanes were when a try failed last */
    struct sluice_backoff backoff;        /* [feed] */
    int streamed;                         /* [feed] it has worked once */
    int starved;                          /* [feed] */
    int64_t idle_us;                      /* [feed] last sign of life while lanes finish */
    struct sluice_error err;              /* [feed], then read by the controller once over */

    pthread_mutex_t mutex;            /* guards ack */
    struct sluice_feed_position ack;  /* may be told to the source */
    struct sluice_feed_position told; /* [feed] */
    pthread_mutex_t checkpoint_mutex; /* one checkpoint at a time */
    _Atomic int64_t checkpoint_us;    /* monotonic; of the last one */

    _Atomic uint64_t changes;
    _Atomic uint64_t inserts;
    _Atomic uint64_t updates;
    _Atomic uint64_t deletes;
    _Atomic uint64_t transactions;
    _Atomic uint64_t bytes;
    _Atomic int64_t last_commit_us;
    _Atomic int64_t moved_us; /* monotonic: when the last boundary came */
    _Atomic uint32_t retries;
    _Atomic int64_t behind_bytes;
    _Atomic int64_t retained_bytes;
    _Atomic int64_t remaining_bytes;
    char end[32]; /* guarded by mutex */
};

/* [ctl] Makes the feed of a CHANGES shard, or finds the one of an earlier attempt, and fixes where
 * its lanes go on: by the sinks' tokens and the state. POSITION_LOST when a sink has lost commits. */
sluice_status sluice_feed_make(struct sluice_flow_source *source,
                               const struct sluice_shard_desc *desc, struct sluice_error *err);
/* [ctl] Frees all feeds of the source; their threads have ended. */
void sluice_feeds_free(struct sluice_flow_source *source);
/* [ctl] Takes the source's streams of this attempt. The thread must not run. */
sluice_status sluice_feed_take_streams(struct sluice_feed *feed, struct sluice_error *err);
sluice_status sluice_feed_start(struct sluice_feed *feed, struct sluice_error *err);
/* [ctl] Waits for the thread, which has been asked to end or has ended. */
void sluice_feed_join(struct sluice_feed *feed);
/* Writes lane positions to the state and lets the source be told. Does nothing if nothing moved.
 * [ctl] or [feed] */
sluice_status sluice_feed_checkpoint(struct sluice_feed *feed, struct sluice_error *err);
/* The smallest position of the lanes; an empty one if some lane has none. Free it. */
int sluice_feed_smallest(struct sluice_feed *feed, struct sluice_feed_position *out);

/* feed_resume.c [ctl]: what is known of a lane before its feed exists. `out` is set to nothing when
 * nothing is known; *epoch is the last one ever used. */
sluice_status sluice_feed_resume(struct sluice_engine *engine, struct sluice_flow_sink *sink,
                                 const char *source, const char *shard,
                                 struct sluice_feed_position *out, uint64_t *epoch,
                                 struct sluice_error *err);
/* Asks the sink again after a commit of unknown outcome. [feed], between tries. */
sluice_status sluice_feed_lane_settle(struct sluice_feed_lane *lane, struct sluice_error *err);
/* INVALID when the sink has changes of this source from beyond the position of the stream's new load:
 * readers, who order by position, would put them on top of it. */
sluice_status sluice_feed_check_load(const struct sluice_flow_stream *stream,
                                     const struct sluice_flow_sink *sink, struct sluice_error *err);
/* The resume positions of the source's shards for its plan. Free with sluice_feed_resumes_free. */
struct sluice_feed_resumes {
    struct sluice_resume *items;
    const struct sluice_resume **pointers;
    struct sluice_feed_position *positions;
    uint32_t count;
};
sluice_status sluice_feed_resumes_make(struct sluice_flow_source *source,
                                       struct sluice_feed_resumes *out, struct sluice_error *err);
void sluice_feed_resumes_free(struct sluice_feed_resumes *resumes);

/* feed_control.c [ctl]: what the controller does about feeds each time around. */
void sluice_feeds_step(struct sluice_engine *engine);
/* 1 while some feed has something to do. */
int sluice_feeds_active(const struct sluice_engine *engine);
/* Ends all feeds; what ends at a boundary is committed first unless the run failed. */
void sluice_feeds_stop(struct sluice_engine *engine);
/* Asks the source's feeds to end at once, so that it can be opened anew; 1 when they have. */
int sluice_feeds_abandon(struct sluice_flow_source *source);
/* 1 while some feed's thread has not ended. [any], with engine->mutex held */
int sluice_feeds_run(const struct sluice_engine *engine);

#endif /* SLUICE_FLOW_FEED_H */
