/* Opening and closing the state of a pipeline. */
#include "state/state.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "state/state_internal.h"

#define BUSY_TIMEOUT_MS 5000

/* Every commit is on disk when it returns: WAL with FULL syncs its log once per transaction, and
 * other processes read meanwhile. Where a file system cannot do WAL, SQLite keeps its rollback
 * journal, as durable with more syncs. */
static const char setup_run[] = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                                "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                                "PRAGMA journal_size_limit = 1048576; PRAGMA cache_size = -1024;";
static const char setup_read[] = "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF;"
                                 "PRAGMA cell_size_check = ON; PRAGMA cache_size = -1024;";

/* Makes the file ourselves, 0600 from its first moment; SQLite gives its side files the same mode. */
static sluice_status file_make(const char *path, struct sluice_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return sluice_error_errno(
            err, errno,
            "cannot open state %s (file and folder must be writable; state.uri "
            "sets another folder)",
            path);
    }
    (void)close(fd);
    return SLUICE_OK;
}

static sluice_status file_exists(const char *path, const char *pipeline, struct sluice_error *err)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        return SLUICE_OK;
    }
    if (errno == ENOENT || errno == ENOTDIR) {
        return sluice_error_set(err, SLUICE_E_NOT_FOUND, 0,
                                "pipeline %s has no state yet (looked for %s)", pipeline, path);
    }
    return sluice_error_errno(err, errno, "cannot look at state %s", path);
}

static sluice_status db_open(struct sluice_state *state, struct sluice_error *err)
{
    int rc =
        sqlite3_open_v2(state->path, &state->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc != SQLITE_OK) {
        return sluice_state_error(state, rc, "open", err);
    }
    (void)sqlite3_busy_timeout(state->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_extended_result_codes(state->db, 0);
    (void)sqlite3_db_config(state->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    SLUICE_TRY(sluice_state_exec(state, state->writable ? setup_run : setup_read, "open", err));
    return sluice_state_schema_open(state, err);
}

/* A handle without files yet. */
static struct sluice_state *state_new(const char *pipeline, int32_t how)
{
    struct sluice_state *state = sluice_alloc_zero(1, sizeof *state);
    pthread_mutexattr_t attr;
    if (state == NULL) {
        return NULL;
    }
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&state->mutex, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    (void)pthread_cond_init(&state->committed, NULL);
    state->lock_fd = -1;
    state->writable = how == SLUICE_STATE_RUN;
    state->pipeline = sluice_alloc_string(pipeline);
    if (state->pipeline == NULL) {
        sluice_state_close(state);
        return NULL;
    }
    return state;
}

sluice_status sluice_state_open(const char *uri, const char *default_dir, const char *pipeline,
                                int32_t how, struct sluice_state **out, struct sluice_error *err)
{
    char *folder = NULL;
    char *lock_path = NULL;
    struct sluice_state *state = state_new(pipeline, how);
    sluice_status status = SLUICE_OK;
    if (state == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "state: out of memory");
    }
    status = sluice_state_folder(uri, default_dir, &folder, err);
    if (status == SLUICE_OK) {
        status = sluice_state_file(folder, pipeline, STATE_SUFFIX, &state->path, err);
    }
    if (status == SLUICE_OK) {
        status = sluice_state_file(folder, pipeline, ".sluice.lock", &lock_path, err);
    }
    if (status == SLUICE_OK && how == SLUICE_STATE_RUN) {
        status = sluice_state_folder_make(folder, err);
        if (status == SLUICE_OK) {
            status = sluice_state_lock(lock_path, pipeline, &state->lock_fd, err);
        }
        if (status == SLUICE_OK) {
            status = file_make(state->path, err);
        }
    }
    else if (status == SLUICE_OK) {
        status = file_exists(state->path, pipeline, err);
    }
    if (status == SLUICE_OK) {
        status = db_open(state, err);
    }
    sluice_free(folder);
    sluice_free(lock_path);
    if (status < 0) {
        sluice_state_close(state);
        return status;
    }
    *out = state;
    return SLUICE_OK;
}

void sluice_state_close(struct sluice_state *state)
{
    if (state == NULL) {
        return;
    }
    for (int i = 0; i < STATE_CACHE; i++) {
        (void)sqlite3_finalize(state->cache[i].stmt);
    }
    (void)sqlite3_close_v2(state->db);
    if (state->lock_fd >= 0) {
        (void)close(state->lock_fd);
    }
    (void)pthread_cond_destroy(&state->committed);
    (void)pthread_mutex_destroy(&state->mutex);
    sluice_free(state->path);
    sluice_free(state->pipeline);
    sluice_free(state);
}

const char *sluice_state_path(const struct sluice_state *state)
{
    return state->path;
}
