/*
 * Making ready for a feed of changes: what setup.c, identity.c, publication.c, slot.c, retire.c,
 * lag.c and check_changes.c share. All [ctl], except pg_feed_verify.
 */
#ifndef SLUICE_PG_SETUP_H
#define SLUICE_PG_SETUP_H

#include "pg/error.h"
#include "pg/repl.h"
#include "source.h"

enum {
    PG_SINCE_ROOTS = 130000,    /* publications of partitioned tables; wal_status */
    PG_SINCE_MESSAGES = 140000, /* logical messages, binary values */
    PG_SINCE_FILTERS = 150000,  /* row filters, column lists; CREATE_REPLICATION_SLOT … ( … ) */
    PG_SINCE_STANDBY = 160000,  /* decoding on a standby; origin filters */
    PG_SINCE_FAILOVER = 170000, /* failover slots, invalidation_reason */
    PG_SINCE_GENERATED = 180000 /* generated columns in publications */
};

/* ---------------------------------------------------------------- names.c -------------------- */

enum { PG_NAME_SIZE = 64 };

/* [a-z0-9_]{1,63}: what the server takes as the name of a slot. */
int pg_slot_name_valid(const char *name);
/* "sluice_" and the pipeline's name; made unique by a hash where characters had to go. */
void pg_default_name(const char *pipeline, char out[PG_NAME_SIZE]);
/* The options' or default names of slot and publications. */
void pg_feed_names(const struct sluice_source *src, const char *pipeline,
                   struct pg_feed_setup *feed);
/* A name as SQL takes it, quoted where it must be: statements are shown to people too. */
void pg_name_ident(struct sluice_pg_text *text, const char *name);
/* schema.table, likewise */
void pg_relation_ident(struct sluice_pg_text *text, const struct pg_relation *relation);
/* What to run so that the relation has an identity: ALTER TABLE …; */
void pg_identity_remedy(struct sluice_pg_text *text, const struct pg_relation *relation,
                        int full_row);
/* Bytes of a list inside an error message: the rest of it needs some too. */
enum { PG_MESSAGE_ROOM = 560 };
/* A list in a message that has room for so much: adds `item` unless the text would pass `room`;
 * counts those that were left out. */
struct pg_list {
    struct sluice_pg_text text;
    size_t room;
    uint32_t count; /* all */
    uint32_t left_out;
};
void pg_list_add(struct pg_list *list, const char *separator, const char *item);
/* Appends "; and N more" when some were left out, and gives the text; "" when out of memory. */
const char *pg_list_end(struct pg_list *list);
void pg_list_free(struct pg_list *list);

/* What was made for the pipeline: "system=… slot=… publication="a b"". */
struct pg_created {
    char system[32];
    char slots[4][PG_NAME_SIZE]; /* [0] is the newest */
    uint32_t slot_count;
    char publications[8][PG_NAME_SIZE];
    uint32_t publication_count;
};
void pg_created_parse(const char *text, struct pg_created *out); /* NULL = nothing */
void pg_created_add_slot(struct pg_created *created, const char *name);
void pg_created_add_publication(struct pg_created *created, const char *name);
int pg_created_has_slot(const struct pg_created *created, const char *name);
int pg_created_has_publication(const struct pg_created *created, const char *name);
void pg_created_format(const struct pg_created *created, char *out, size_t cap);

/* A time as 2026-11-23T00:52:34[.123456](Z|+05:30), in microseconds since 1970. 0 = it is none. */
int pg_time_parse(const char *text, int64_t *out_us);
/* An LSN as 16/B374D848 or as 16 hex digits. 0 = it is none. */
int pg_lsn_text_parse(const char *text, uint64_t *out);

/* ---------------------------------------------------------------- facts.c -------------------- */

/* The server as feeds see it. */
struct pg_facts {
    int32_t version;
    int32_t recovery;
    int32_t superuser;
    int32_t can_replicate; /* REPLICATION, or a managed service's role */
    int32_t can_create;    /* CREATE on the database */
    int32_t slots_max;
    int32_t slots_used;
    int32_t senders_max;
    int32_t senders_used;
    int64_t sender_timeout_ms;
    int64_t keep_bytes; /* max_slot_wal_keep_size; -1 = no limit */
    uint64_t end;       /* of the log: written, or replayed on a standby */
    char wal_level[16];
    char database_oid[16];
    char database[PG_NAME_SIZE];
    char role[PG_NAME_SIZE];
};
sluice_status pg_facts_read(struct sluice_pg_conn *conn, struct pg_facts *out,
                            struct sluice_error *err) SLUICE_MUST_CHECK;
/* What IDENTIFY_SYSTEM says on a replication connection. */
struct pg_system {
    char id[32];
    char timeline[16];
    uint64_t end; /* of the log: flushed, or replayed */
};
sluice_status pg_system_identify(struct sluice_pg_conn *conn, struct pg_system *out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;
/* The end of what is committed now, flushed: commits that the server has not yet written to disk
 * are waited for, shortly. */
sluice_status pg_log_end(struct sluice_source *src, struct sluice_pg_conn *conn, uint64_t *out,
                         struct sluice_error *err) SLUICE_MUST_CHECK;
/* Lets time pass on a connection that has nothing to do. CANCELLED when the host is. */
sluice_status pg_pause(const struct sluice_source *src, int64_t us, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- publication.c -------------- */

struct pg_publication {
    char name[PG_NAME_SIZE];
    int32_t exists;
    int32_t ours; /* its comment says so */
    int32_t owned;
    int32_t all_tables;
    int32_t inserts;
    int32_t updates;
    int32_t deletes;
    int32_t truncates;
    int32_t via_root;
    int32_t generated; /* sends stored generated columns (18+) */
};
sluice_status pg_publication_read(struct sluice_pg_conn *conn, const char *name,
                                  const char *pipeline, struct pg_publication *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* One table that the feed is to deliver. */
struct pg_chosen {
    const struct pg_relation *relation;
    const struct sluice_stream_select *select;
    int32_t insert_only; /* goes into the second publication */
};

/* What is planned for the publications; made before anything is created. */
struct pg_publication_plan {
    struct pg_publication publications[2];
    uint32_t count;
    struct sluice_pg_text sql; /* empty = nothing to do */
    int32_t creates[2];
};
/* Compares publications with the chosen tables, and writes the statements that make ours fit.
 * Errors name what a publication that is not ours lacks, with the statement that mends it. Fills in
 * what is published of the catalog's relations. */
sluice_status pg_publication_plan_make(struct sluice_source *src, const struct pg_facts *facts,
                                       const struct sluice_source_plan *plan,
                                       struct pg_catalog *catalog, const struct pg_chosen *chosen,
                                       uint32_t count, struct pg_publication_plan *out,
                                       struct sluice_error *err) SLUICE_MUST_CHECK;
/* All tables of the database that could not be updated any more once all are published. */
sluice_status pg_publication_check_all(const struct pg_catalog *catalog, struct sluice_error *err)
    SLUICE_MUST_CHECK;
sluice_status pg_publication_plan_apply(struct sluice_source *src, struct pg_publication_plan *plan,
                                        struct sluice_error *err) SLUICE_MUST_CHECK;
void pg_publication_plan_free(struct pg_publication_plan *plan);

/* ---------------------------------------------------------------- identity.c ----------------- */

/* Refuses what cannot be captured, all of it at once. Sets insert_only where that is asked for. */
sluice_status pg_chosen_check(struct sluice_source *src, const struct pg_facts *facts,
                              const struct pg_catalog *catalog, struct pg_chosen *chosen,
                              uint32_t count, struct sluice_error *err) SLUICE_MUST_CHECK;
/* Why updates and deletes of the table, or of a partition of it, could not be told apart: the
 * statements that mend it are added to `remedy`. 1 = it is sound. */
int pg_identity_sound(const struct pg_catalog *catalog, const struct pg_relation *relation,
                      struct pg_list *remedy);

/* ---------------------------------------------------------------- slot.c --------------------- */

struct pg_slot {
    int32_t exists;
    int32_t logical;
    int32_t temporary;
    int32_t failover;
    int32_t active_pid;
    char plugin[PG_NAME_SIZE];
    char database[PG_NAME_SIZE];
    char lost[64]; /* why the server gave it up; "" = it has not */
    char wal_status[16];
    uint64_t confirmed; /* 0 = none */
    uint64_t restart;   /* 0 = none */
    int64_t safe_bytes; /* -1 = no limit */
};
/* By SQL; on replication connections too. */
sluice_status pg_slot_read(struct sluice_pg_conn *conn, const char *name, struct pg_slot *out,
                           struct sluice_error *err) SLUICE_MUST_CHECK;
/* Is it a slot that we can stream from? CONFLICT, POSITION_LOST. */
sluice_status pg_slot_check(const struct pg_slot *slot, const char *name, const char *database,
                            struct sluice_error *err) SLUICE_MUST_CHECK;
/* POSITION_LOST when the slot is not there, or stands after `position`. */
sluice_status pg_slot_gap(const char *name, const struct pg_slot *slot, uint64_t position,
                          struct sluice_error *err) SLUICE_MUST_CHECK;
/* UNAVAILABLE, retryable: another session streams from it. */
sluice_status pg_slot_busy(struct sluice_pg_conn *conn, const struct pg_slot *slot,
                           const char *name, struct sluice_error *err);
/* Makes a slot on a replication connection, which then holds src->snapshot if `snapshot`; says what
 * it waits for. */
struct pg_slot_wish {
    const char *name;
    int32_t temporary;
    int32_t snapshot;
    int32_t failover;
};
sluice_status pg_slot_create(struct sluice_source *src, struct sluice_pg_conn *conn,
                             const struct pg_slot_wish *wish, uint64_t *point,
                             struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---------------------------------------------------------------- check_changes.c ------------ */

/* One check under way: check.c reports on loads, check_changes.c on feeds. */
struct pg_check {
    struct sluice_source *src;
    struct sluice_pg_conn *conn;
    const struct sluice_source_plan *plan; /* may be NULL */
    sluice_finding_visit visit;
    void *vctx;
    sluice_status status;       /* of the visitor: OK, END, or an error */
    struct sluice_pg_text role; /* as SQL takes it */
    struct pg_catalog catalog;
};
void pg_check_report(struct pg_check *check, int32_t severity, const char *subject, const char *key,
                     const char *remedy, const char *format, ...) SLUICE_PRINTF(6, 7);
/* Is change capture possible here, and if not, why? `chosen` are the plan's tables that exist, with
 * their columns loaded. */
sluice_status pg_check_changes(struct pg_check *check, const uint32_t *chosen,
                               const struct sluice_stream_select *const *selects, uint32_t count,
                               struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_PG_SETUP_H */
