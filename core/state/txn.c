/* Transactions. A commit costs a sync of the disk, so writers that come at the same time share one:
 * whoever has done its work while another writer is on its way in leaves the transaction open and
 * waits; the last one commits for all. Alone, a writer commits at once. */
#include "base/failpoint.h"
#include "state/state_internal.h"

static void lock(struct sluice_state *state)
{
    (void)pthread_mutex_lock(&state->mutex);
    state->lock_depth++;
}

static void unlock(struct sluice_state *state)
{
    state->lock_depth--;
    (void)pthread_mutex_unlock(&state->mutex);
}

/* After some errors SQLite has rolled back by itself. */
static void rollback(struct sluice_state *state)
{
    if (!sqlite3_get_autocommit(state->db)) {
        (void)sqlite3_exec(state->db, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* Tells the waiting writers how it ended. */
static void group_end(struct sluice_state *state, sluice_status status,
                      const struct sluice_error *err)
{
    struct state_waiter *waiter = state->group;
    state->group = NULL;
    state->group_size = 0;
    while (waiter != NULL) {
        struct state_waiter *next = waiter->next;
        waiter->status = status;
        if (status < 0) {
            waiter->err = *err;
        }
        waiter->done = 1;
        waiter = next;
    }
    (void)pthread_cond_broadcast(&state->committed);
}

/* Commits the open transaction for all that are in it. */
static sluice_status group_commit(struct sluice_state *state, const char *what,
                                  struct sluice_error *err)
{
    struct sluice_error why = SLUICE_ERROR_INIT;
    sluice_status status = sluice_state_exec(state, "COMMIT", what, &why);
    if (status < 0) {
        rollback(state);
        if (err != NULL) {
            *err = why;
        }
    }
    group_end(state, status, &why);
    return status;
}

/* Leaves without a commit of one's own: nobody may be left waiting for a writer that never comes. */
static void leave(struct sluice_state *state, const struct sluice_error *why)
{
    if (state->group != NULL && sqlite3_get_autocommit(state->db)) {
        group_end(state, why->status < 0 ? why->status : SLUICE_E_INTERNAL, why);
    }
    else if (state->group != NULL && sluice_atomic_load_relaxed_i64(&state->entering) == 0) {
        (void)group_commit(state, "commit", NULL);
    }
    unlock(state);
}

void sluice_state_read_begin(struct sluice_state *state)
{
    lock(state);
    if (state->batch_depth == 0 && state->group != NULL) {
        /* What is read must be durable. */
        (void)group_commit(state, "commit", NULL);
    }
}

void sluice_state_read_end(struct sluice_state *state)
{
    unlock(state);
}

/* The outermost write of this thread: a transaction, or a place in the one that is open. */
static sluice_status outer_begin(struct sluice_state *state, const char *what,
                                 struct sluice_error *err)
{
    state->batch_failed = 0;
    state->savepoint = state->group != NULL;
    return state->savepoint ? sluice_state_exec(state, "SAVEPOINT own", what, err)
                            : sluice_state_exec(state, "BEGIN IMMEDIATE", what, err);
}

static sluice_status inner_begin(struct sluice_state *state, const char *what,
                                 struct sluice_error *err)
{
    if (state->batch_failed || sqlite3_get_autocommit(state->db)) {
        /* SQLite may have rolled back: what follows must not be kept alone. */
        return sluice_error_set(err, SLUICE_E_STATE, 0, "state %s: %s: a write of the batch failed",
                                state->path, what);
    }
    return SLUICE_OK;
}

sluice_status sluice_state_write_begin(struct sluice_state *state, const char *what,
                                       struct sluice_error *err)
{
    struct sluice_error why = SLUICE_ERROR_INIT;
    (void)sluice_atomic_add_relaxed_i64(&state->entering, 1);
    lock(state);
    (void)sluice_atomic_add_relaxed_i64(&state->entering, -1);
    sluice_status status = SLUICE_OK;
    if (!state->writable) {
        status = sluice_error_set(&why, SLUICE_E_STATE, 0, "state %s: %s: opened for reading only",
                                  state->path, what);
    }
    if (status == SLUICE_OK) {
        status = sluice_failpoint_error("state.write", &why);
    }
    if (status == SLUICE_OK) {
        status = state->batch_depth > 0 ? inner_begin(state, what, &why)
                                        : outer_begin(state, what, &why);
    }
    if (status == SLUICE_OK) {
        state->batch_depth++;
        return SLUICE_OK;
    }
    if (err != NULL) {
        *err = why;
    }
    if (state->batch_depth > 0) {
        state->batch_failed = 1;
        unlock(state);
    }
    else {
        leave(state, &why);
    }
    return status;
}

/* Undoes this thread's part alone, where others wait in the same transaction. */
static void outer_undo(struct sluice_state *state)
{
    if (!state->savepoint) {
        rollback(state);
    }
    else if (!sqlite3_get_autocommit(state->db) &&
             sqlite3_exec(state->db, "ROLLBACK TO own; RELEASE own", NULL, NULL, NULL) !=
                 SQLITE_OK) {
        rollback(state);
    }
}

/* Waits until another writer has committed. */
static sluice_status group_wait(struct sluice_state *state, struct sluice_error *err)
{
    struct state_waiter own = {state->group, 0, SLUICE_OK, SLUICE_ERROR_INIT};
    state->group = &own;
    state->group_size++;
    state->lock_depth = 0;
    while (!own.done) {
        (void)pthread_cond_wait(&state->committed, &state->mutex);
    }
    state->lock_depth = 1;
    if (own.status < 0 && err != NULL) {
        *err = own.err;
    }
    return own.status;
}

static sluice_status outer_end(struct sluice_state *state, const char *what,
                               struct sluice_error *err)
{
    sluice_status status = sluice_failpoint_error("state.commit", err);
    if (status == SLUICE_OK && state->batch_failed) {
        status = sluice_error_set(err, SLUICE_E_STATE, 0,
                                  "state %s: %s: a write of the batch failed, nothing was kept",
                                  state->path, what);
    }
    if (status == SLUICE_OK && state->savepoint) {
        status = sluice_state_exec(state, "RELEASE own", what, err);
    }
    return status;
}

sluice_status sluice_state_write_end(struct sluice_state *state, sluice_status status,
                                     const char *what, struct sluice_error *err)
{
    struct sluice_error why = SLUICE_ERROR_INIT;
    state->batch_depth--;
    if (state->batch_depth > 0) {
        state->batch_failed = state->batch_failed || status < 0;
        unlock(state);
        return status;
    }
    if (status < 0) {
        why.status = status;
        if (err != NULL) {
            why = *err;
        }
    }
    else {
        status = outer_end(state, what, &why);
        if (status < 0 && err != NULL) {
            *err = why;
        }
    }
    if (status < 0) {
        outer_undo(state);
        leave(state, &why);
        return status;
    }
    /* A visitor's write (depth above 1) cannot give the mutex away. */
    if (state->lock_depth == 1 && state->group_size < STATE_GROUP_MAX &&
        sluice_atomic_load_relaxed_i64(&state->entering) > 0) {
        status = group_wait(state, err);
    }
    else {
        status = group_commit(state, what, err);
    }
    unlock(state);
    return status;
}

sluice_status sluice_state_batch_begin(struct sluice_state *state, struct sluice_error *err)
{
    return sluice_state_write_begin(state, "batch", err);
}

sluice_status sluice_state_batch_end(struct sluice_state *state, struct sluice_error *err)
{
    return sluice_state_write_end(state, SLUICE_OK, "batch", err);
}
