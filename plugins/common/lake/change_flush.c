/* Ending all files of an epoch: the lane's thread and a few helpers take one table after the other. */
#include <pthread.h>

#include "lake/change_lane.h"

/* Shared by the threads; all under the mutex. */
struct flush {
    struct sluice_lane *lane;
    pthread_mutex_t mutex;
    uint32_t next; /* of changes->active */
    sluice_status status;
    struct sluice_error err;
};

struct flusher {
    pthread_t thread;
    struct flush *flush;
    struct sluice_lake_change_writer writer;
};

static struct sluice_lake_change_table *take(struct flush *flush)
{
    const struct sluice_lake_changes *changes = flush->lane->changes;
    struct sluice_lake_change_table *table = NULL;
    pthread_mutex_lock(&flush->mutex);
    if (flush->status >= 0 && flush->next < changes->active_count) {
        table = changes->active[flush->next++];
    }
    pthread_mutex_unlock(&flush->mutex);
    return table;
}

static void work(struct flush *flush, struct sluice_lake_change_writer *writer)
{
    struct sluice_lake_change_table *table = take(flush);
    while (table != NULL) {
        struct sluice_error err = SLUICE_ERROR_INIT;
        const sluice_status st = sluice_lake_change_file_flush(flush->lane, table, writer, &err);
        if (st < 0) {
            pthread_mutex_lock(&flush->mutex);
            if (flush->status >= 0) {
                flush->status = st;
                flush->err = err;
            }
            pthread_mutex_unlock(&flush->mutex);
        }
        table = take(flush);
    }
}

static void *run(void *arg)
{
    struct flusher *flusher = arg;
    work(flusher->flush, &flusher->writer);
    return NULL;
}

sluice_status sluice_lake_change_files_finish(struct sluice_lane *lane, struct sluice_error *err)
{
    struct sluice_lake_changes *changes = lane->changes;
    struct flusher flushers[SLUICE_LAKE_FLUSHERS_MAX - 1] = {0};
    struct flush flush = {.lane = lane};
    uint32_t count = 0;
    if (pthread_mutex_init(&flush.mutex, NULL) != 0) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a mutex");
    }
    while (count < SLUICE_LAKE_FLUSHERS_MAX - 1 && 2 * (count + 1) < changes->active_count) {
        flushers[count].flush = &flush;
        if (pthread_create(&flushers[count].thread, NULL, run, &flushers[count]) != 0) {
            break; /* fewer will do */
        }
        count++;
    }
    work(&flush, &changes->whole);
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_join(flushers[i].thread, NULL);
        sluice_lake_change_writer_free(lane, &flushers[i].writer);
    }
    pthread_mutex_destroy(&flush.mutex);
    if (flush.status < 0) {
        if (err != NULL) {
            *err = flush.err;
        }
        return flush.status;
    }
    while (changes->active_count > 0) {
        SLUICE_TRY(
            sluice_lake_change_file_keep(lane, changes->active[changes->active_count - 1], err));
    }
    return SLUICE_OK;
}
