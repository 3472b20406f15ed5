/*
 * Every failpoint of the engine and of the built-in plugins. Whoever adds one to the code adds it
 * here: a test compares this list with the sources both ways, `sluice failpoints` prints it, and the
 * sweep arms each of it.
 *
 *     X(name, kind, what is true when it is passed)
 *
 * FAILS: can answer an error, crash and wait. STOPS: can only crash and wait. TEARS: can write a part
 * and crash (`torn`), crash and wait.
 */
#ifndef SLUICE_BASE_FAILPOINT_NAMES_H
#define SLUICE_BASE_FAILPOINT_NAMES_H

#define SLUICE_FAILPOINT_NAMES(X)                                                               \
    X("flow.after_batch", FAILS, "a batch of a shard went to the lanes")                        \
    X("flow.after_complete_state", STOPS, "the state knows that a stream is complete")          \
    X("flow.after_lane_state", STOPS, "the state knows what a lane of a load committed")        \
    X("flow.after_load_begin", STOPS, "the state has the load's record")                        \
    X("flow.after_load_finish", STOPS, "the load's record is finished")                         \
    X("flow.after_sink_commit", FAILS, "the sink has it, the state does not")                   \
    X("flow.after_source_open", FAILS, "the source is open, nothing was read")                  \
    X("flow.after_stream_end", FAILS, "the sink published a load, the state does not know")     \
    X("flow.before_load_finish", STOPS, "every stream is complete, the record is not finished") \
    X("flow.before_shard", FAILS, "a shard is about to be opened")                              \
    X("flow.before_sink_commit", FAILS, "all is written, nothing is committed")                 \
    X("flow.before_stream_end", FAILS, "all rows are committed, the load is not published")     \
    X("state.commit", FAILS, "a change of the state is about to become durable")                \
    X("state.write", FAILS, "a batch of changes is about to be written to the state")

#endif /* SLUICE_BASE_FAILPOINT_NAMES_H */
