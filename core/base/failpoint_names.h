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

#define SLUICE_FAILPOINT_NAMES(X)                                                                \
    X("file.before_rename", FAILS, "a file is on disk, it does not have its name")               \
    X("file.torn", TEARS, "bytes of a file or manifest are about to be written")                 \
    X("flow.after_batch", FAILS, "a batch of a load went to the sinks")                          \
    X("flow.after_complete_state", STOPS, "the state knows that a stream is complete")           \
    X("flow.after_lane_state", STOPS, "the state knows what a lane of a load committed")         \
    X("flow.after_load_begin", STOPS, "the state has the load's record")                         \
    X("flow.after_load_finish", STOPS, "the load's record is finished")                          \
    X("flow.after_sink_commit", FAILS, "a sink has rows of a load, the state does not")          \
    X("flow.after_source_open", FAILS, "the source is open, nothing was read")                   \
    X("flow.after_stream_end", FAILS, "a sink published a load, the state does not know")        \
    X("flow.before_load_finish", STOPS, "every stream is complete, the record is not finished")  \
    X("flow.before_shard", FAILS, "a shard of a load is about to be opened")                     \
    X("flow.before_sink_commit", FAILS, "rows of a load are written, not committed")             \
    X("flow.before_stream_end", FAILS, "all rows are committed, the load is not published")      \
    X("flow.feed_after_batch", FAILS, "a feed gave a batch, no lane has it")                     \
    X("flow.feed_after_commit", FAILS, "a sink committed changes, as if its reply were lost")    \
    X("flow.feed_after_state", FAILS, "the state knows the positions, the source does not")      \
    X("flow.feed_before_ack", FAILS, "the source is about to be told what it may forget")        \
    X("flow.feed_before_commit", FAILS, "changes are written, the sink was not asked to commit") \
    X("flow.feed_before_lane", FAILS, "a lane for changes is about to be opened")                \
    X("flow.feed_before_open", FAILS, "a feed is about to be opened, or opened again")           \
    X("flow.feed_before_schema", FAILS, "a sink is about to learn of a version of columns")      \
    X("flow.feed_before_start", FAILS, "the loads are settled, the feed has no thread yet")      \
    X("flow.feed_before_state", FAILS, "sinks committed, the state is about to learn it")        \
    X("flow.feed_before_write", FAILS, "a batch of changes is about to be written")              \
    X("lake.after_file", FAILS, "a file is whole, no manifest names it")                         \
    X("lake.after_manifest", FAILS, "a manifest is there, as if its reply were lost")            \
    X("lake.before_file", FAILS, "a file is written and about to be finished")                   \
    X("lake.before_manifest", FAILS, "files are whole, the manifest is about to be written")     \
    X("mssink.after_commit", FAILS, "the target has changes, as if its reply were lost")         \
    X("mssink.after_load_commit", FAILS,                                                         \
      "the target has rows of a load, as if its reply were lost")                                \
    X("mssink.before_commit", FAILS, "changes are in the open transaction of the target")        \
    X("mssink.before_ddl", FAILS, "a table of the target is about to be made or altered")        \
    X("mssink.before_load_commit", FAILS, "rows of a load are in the open transaction")          \
    X("mssink.before_publish", FAILS, "a load is whole and about to take the place of rows")     \
    X("pgsink.after_commit", FAILS, "the target has changes, as if its reply were lost")         \
    X("pgsink.after_load_commit", FAILS,                                                         \
      "the target has rows of a load, as if its reply were lost")                                \
    X("pgsink.before_advance", FAILS, "a few changes are about to be sent in one go")            \
    X("pgsink.before_commit", FAILS, "changes are in the open transaction of the target")        \
    X("pgsink.before_copy_end", FAILS, "COPY has all rows, it is not ended")                     \
    X("pgsink.before_ddl", FAILS, "a table of the target is about to be made or altered")        \
    X("pgsink.before_load_commit", FAILS, "rows of a load are in the open transaction")          \
    X("pgsink.before_swap", FAILS, "a load is whole and about to take the place of the table")   \
    X("postgres.after_publication", FAILS, "the publication is there, the slot is not")          \
    X("postgres.after_slot", FAILS, "the slot is there, nothing was read under its snapshot")    \
    X("postgres.after_slot_drop", FAILS, "retire dropped the slot, the publication is there")    \
    X("postgres.after_temp_slot", FAILS, "a temporary slot holds the snapshot of a later load")  \
    X("postgres.before_publication", FAILS, "nothing was made at the source")                    \
    X("postgres.before_retire", FAILS, "retire is about to look for what was made")              \
    X("postgres.before_slot", FAILS, "the slot is about to be made")                             \
    X("postgres.before_snapshot_import", FAILS,                                                  \
      "the catalog is about to be read under the snapshot")                                      \
    X("postgres.feed_after_begin", FAILS, "a transaction of the feed begins")                    \
    X("postgres.feed_after_feedback", FAILS, "the server knows what may be forgotten")           \
    X("postgres.feed_after_start", FAILS, "the server streams, nothing was taken")               \
    X("postgres.feed_before_boundary", FAILS, "a group of transactions is about to go out")      \
    X("postgres.feed_before_feedback", FAILS, "the server is about to be told what is durable")  \
    X("postgres.feed_before_start", FAILS, "the slot was checked, nothing streams yet")          \
    X("s3.before_complete", FAILS, "all parts of an object are there, it is not completed")      \
    X("s3.mid_multipart", FAILS, "a part of an object was sent, others follow")                  \
    X("sqlserver.after_max_lsn", FAILS,                                                          \
      "the capture job's position was read, no table was opened")                                \
    X("sqlserver.feed_after_window", FAILS, "a group of changes was read, nothing went out")     \
    X("sqlserver.feed_before_start", FAILS, "the feed is connected, no instance was chosen")     \
    X("state.commit", FAILS, "a change of the state is about to become durable")                 \
    X("state.write", FAILS, "a batch of changes is about to be written to the state")

#endif /* SLUICE_BASE_FAILPOINT_NAMES_H */
