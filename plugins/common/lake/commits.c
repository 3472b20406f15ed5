#include "lake/commits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lake/keys.h"
#include "lake/object.h"
#include "sluice/log.h"

enum {
    SEQ_DIGITS = 20,
    SCAN_FIRST = 1000, /* manifests looked at one by one before leaping: one page of an S3 list */
    MISSING_MAX = 16,  /* manifests missing one after the other: nothing older is left */
    TRIES_MAX = 16     /* own earlier manifests found in our way, one after the other */
};

sluice_status sluice_lake_commits_init(struct sluice_lake_commits *log,
                                       const struct sluice_host *host,
                                       const struct sluice_lake_store_api *api,
                                       struct sluice_lake_store *store, struct sluice_error *err)
{
    memset(log, 0, sizeof *log);
    log->host = host;
    log->api = api;
    log->store = store;
    log->next = 1;
    log->failpoints = sluice_failpoints_of(host);
    if (pthread_mutex_init(&log->mutex, NULL) != 0) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a mutex");
    }
    return SLUICE_OK;
}

void sluice_lake_commits_free(struct sluice_lake_commits *log)
{
    if (log->api != NULL) {
        pthread_mutex_destroy(&log->mutex);
    }
    free(log->folder);
    while (log->ends != NULL) {
        struct sluice_lake_shard_end *end = log->ends;
        log->ends = end->next;
        free(end->to);
        free(end);
    }
    memset(log, 0, sizeof *log);
}

static void manifest_key(const struct sluice_lake_commits *log, uint64_t seq,
                         char key[SLUICE_LAKE_KEY_MAX])
{
    (void)snprintf(key, SLUICE_LAKE_KEY_MAX, "%s%020" PRIu64 ".json", log->folder, seq);
}

/* ---------------------------------------------------------------- finding the end ------------ */

struct scan {
    const struct sluice_lake_commits *log;
    uint64_t last; /* largest number seen */
    uint64_t count;
    uint64_t limit; /* stop after so many */
};

static sluice_status scan_visit(void *vctx, const char *key, uint64_t size, int64_t modified_us)
{
    struct scan *scan = vctx;
    size_t folder = strlen(scan->log->folder);
    const char *name = strlen(key) > folder ? key + folder : "";
    uint64_t seq = 0;
    (void)size;
    (void)modified_us;
    for (int32_t i = 0; i < SEQ_DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9') {
            return SLUICE_OK; /* not ours: somebody put a file there */
        }
        seq = seq * 10u + (uint64_t)(name[i] - '0');
    }
    if (strcmp(name + SEQ_DIGITS, ".json") != 0) {
        return SLUICE_OK;
    }
    scan->last = seq > scan->last ? seq : scan->last;
    scan->count++;
    return scan->count >= scan->limit ? SLUICE_END : SLUICE_OK;
}

/* Lists from behind number `after` on; scan->count tells how many were seen. */
static sluice_status scan_from(struct scan *scan, uint64_t after, uint64_t limit,
                               struct sluice_error *err)
{
    const struct sluice_lake_commits *log = scan->log;
    char key[SLUICE_LAKE_KEY_MAX];
    manifest_key(log, after, key);
    scan->count = 0;
    scan->limit = limit;
    sluice_status st = log->api->list(log->store, log->folder, key, scan_visit, scan, err);
    return st < 0 ? st : SLUICE_OK;
}

/* The largest number there is, or 0. Leaps, since there may be very many; a missing one in between
 * (removed by hand or by a life-cycle rule) does no harm. */
static sluice_status find_last(const struct sluice_lake_commits *log, uint64_t *last,
                               struct sluice_error *err)
{
    struct scan scan = {log, 0, 0, 0};
    SLUICE_TRY(scan_from(&scan, 0, SCAN_FIRST, err));
    if (scan.count >= SCAN_FIRST) {
        uint64_t step = SCAN_FIRST / 2;
        do {
            step *= 2;
            SLUICE_TRY(scan_from(&scan, scan.last + step, 1, err));
        } while (scan.count > 0);
        for (step /= 2; step >= SCAN_FIRST; step /= 2) {
            SLUICE_TRY(scan_from(&scan, scan.last + step, 1, err));
        }
        SLUICE_TRY(scan_from(&scan, scan.last, UINT64_MAX, err));
    }
    *last = scan.last;
    return SLUICE_OK;
}

sluice_status sluice_lake_commits_folder(const char *pipeline, const char *sink,
                                         char out[SLUICE_LAKE_KEY_MAX], struct sluice_error *err)
{
    char pipeline_text[SLUICE_LAKE_SEGMENT_MAX + 1];
    char sink_text[SLUICE_LAKE_SEGMENT_MAX + 1];
    SLUICE_TRY(sluice_lake_segment(pipeline, pipeline_text, err));
    SLUICE_TRY(sluice_lake_segment(sink, sink_text, err));
    (void)snprintf(out, SLUICE_LAKE_KEY_MAX, "_sluice/%s/%s/commits/", pipeline_text, sink_text);
    return SLUICE_OK;
}

sluice_status sluice_lake_commits_open(struct sluice_lake_commits *log, const char *pipeline,
                                       const char *sink, struct sluice_error *err)
{
    char folder[SLUICE_LAKE_KEY_MAX];
    SLUICE_TRY(sluice_lake_commits_folder(pipeline, sink, folder, err));
    SLUICE_TRY(sluice_lake_random_id(log->instance, err));
    char *copy = strdup(folder);
    if (copy == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a key");
    }
    free(log->folder);
    log->folder = copy;
    uint64_t last = 0;
    sluice_status st = find_last(log, &last, err);
    if (st < 0) {
        return sluice_error_wrap(err, "looking for the last manifest under %s of %s", folder,
                                 log->api->location(log->store));
    }
    log->next = last + 1;
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- appending ------------------ */

static sluice_status read_manifest(const struct sluice_lake_commits *log, uint64_t seq,
                                   struct sluice_lake_found *found, struct sluice_error *err)
{
    char key[SLUICE_LAKE_KEY_MAX];
    uint8_t *data = NULL;
    uint64_t size = 0;
    manifest_key(log, seq, key);
    SLUICE_TRY(log->api->get(log->store, key, SLUICE_LAKE_MANIFEST_MAX, &data, &size, err));
    sluice_status st = sluice_lake_manifest_read(data, size, found, err);
    free(data);
    return st < 0 ? sluice_lake_error_at(err, "manifest", key) : SLUICE_OK;
}

static sluice_status fenced(struct sluice_lake_commits *log, struct sluice_error *err)
{
    log->fenced = 1;
    return sluice_error_set(err, SLUICE_E_CONFLICT, SLUICE_ERROR_FATAL,
                            "fenced: another process writes manifests under %s of %s (number "
                            "%" PRIu64 " is not ours); make sure that this pipeline runs once, "
                            "then start it again",
                            log->folder, log->api->location(log->store), log->next);
}

/* With the mutex, like the next two. */
static struct sluice_lake_shard_end *find_end(const struct sluice_lake_commits *log,
                                              const char *shard)
{
    struct sluice_lake_shard_end *end = log->ends;
    while (end != NULL && strcmp(end->shard, shard) != 0) {
        end = end->next;
    }
    return end;
}

/* Remembers how far a shard's changes go, if that is news. */
static sluice_status keep_end(struct sluice_lake_commits *log, const char *shard, uint64_t seq,
                              uint64_t epoch, const char *to, int32_t own, struct sluice_error *err)
{
    struct sluice_lake_shard_end *end = find_end(log, shard);
    if (end != NULL && end->seq >= seq) {
        return SLUICE_OK;
    }
    char *copy = strdup(to);
    if (copy == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a position");
    }
    if (end == NULL) {
        size_t size = strlen(shard) + 1;
        end = calloc(1, sizeof *end + size);
        if (end == NULL) {
            free(copy);
            return sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a shard");
        }
        memcpy(end->shard, shard, size);
        end->next = log->ends;
        log->ends = end;
    }
    free(end->to);
    end->to = copy;
    end->seq = seq;
    end->epoch = epoch;
    end->own = own;
    return SLUICE_OK;
}

static sluice_status keep_found(struct sluice_lake_commits *log,
                                const struct sluice_lake_found *found, uint64_t seq, int32_t own,
                                struct sluice_error *err)
{
    return found->kind == SLUICE_LAKE_KIND_CDC
               ? keep_end(log, found->shard, seq, found->epoch, found->to, own, err)
               : SLUICE_OK;
}

static int32_t is_ours(const struct sluice_lake_commits *log, const struct sluice_lake_found *found)
{
    return strncmp(found->attempt, log->instance, strlen(log->instance)) == 0;
}

enum { TAKEN_BY_US = 1, TAKEN_BEFORE = 2, TAKEN_SAME_WORK = 3 };

static int32_t same_token(const struct sluice_lake_found *found, struct sluice_bytes token)
{
    return found->token_size == token.size &&
           (token.size == 0 || memcmp(found->token, token.data, token.size) == 0);
}

/* Who made the manifest that stands where ours should go? */
static sluice_status who_took(struct sluice_lake_commits *log, const struct sluice_lake_manifest *m,
                              int32_t *who, struct sluice_error *err)
{
    struct sluice_lake_found found = {0};
    SLUICE_TRY(read_manifest(log, log->next, &found, err));
    sluice_status st = SLUICE_OK;
    if (strcmp(found.attempt, m->attempt) == 0) {
        *who = TAKEN_BY_US; /* only the reply was lost */
    }
    else if (!is_ours(log, &found)) {
        st = fenced(log, err);
    }
    else {
        int32_t same = found.kind == m->kind && found.epoch == m->epoch &&
                       strcmp(found.shard, m->shard != NULL ? m->shard : "") == 0 &&
                       strcmp(found.run, m->run != NULL ? m->run : "") == 0 &&
                       (m->stream_name == NULL || strcmp(found.stream, m->stream_name) == 0);
        *who = same ? TAKEN_SAME_WORK : TAKEN_BEFORE;
        st = keep_found(log, &found, log->next, 1, err);
        if (st >= 0 && same && m->kind == SLUICE_LAKE_KIND_CDC && !same_token(&found, m->token)) {
            /* The same epoch, but cut elsewhere: what it wrote is committed, ours would be twice. */
            log->next++;
            log->unsure = 0;
            st = sluice_error_set(err, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE,
                                  "an earlier try of epoch %" PRIu64
                                  ", given up as failed, has come through up to "
                                  "%s: the rest is written anew",
                                  found.epoch, found.to);
        }
    }
    sluice_lake_found_free(&found);
    return st;
}

/* Writes *m under number log->next. `*who` is 0 when it went the straight way. */
static sluice_status append_once(struct sluice_lake_commits *log, struct sluice_lake_manifest *m,
                                 int32_t *who, struct sluice_error *err)
{
    char attempt[64];
    char key[SLUICE_LAKE_KEY_MAX];
    char *text = NULL;
    uint64_t size = 0;
    (void)snprintf(attempt, sizeof attempt, "%s-%" PRIu64, log->instance, ++log->attempts);
    m->seq = log->next;
    m->attempt = attempt;
    m->committed_us = log->host->now_us(log->host->ctx, SLUICE_CLOCK_WALL);
    manifest_key(log, log->next, key);
    SLUICE_TRY(sluice_lake_manifest_write(m, &text, &size, err));
    *who = 0;
    sluice_status st = sluice_failpoint_hit(log->failpoints, "lake.before_manifest", err);
    if (st < 0) {
        free(text);
        m->attempt = NULL;
        return st;
    }
    st = log->api->put(log->store, key, text, size, SLUICE_LAKE_PUT_NEW, "application/json", err);
    free(text);
    if (st == SLUICE_E_CONFLICT) {
        st = who_took(log, m, who, err);
    }
    else if (st < 0) {
        log->unsure = 1;
    }
    else {
        st = sluice_failpoint_hit(log->failpoints, "lake.after_manifest", err);
        log->unsure |= st < 0 ? 1 : 0; /* as if the reply had been lost */
    }
    m->attempt = NULL;
    return st < 0 ? sluice_lake_error_at(err, "committing manifest", key) : SLUICE_OK;
}

sluice_status sluice_lake_commits_append(struct sluice_lake_commits *log,
                                         struct sluice_lake_manifest *m, int32_t *again,
                                         struct sluice_error *err)
{
    *again = 0;
    pthread_mutex_lock(&log->mutex);
    sluice_status st = log->fenced ? fenced(log, err) : SLUICE_OK;
    /* A try whose outcome stayed unknown may have got its number after all; then it stands in the
     * way of the next one and is counted there. */
    int32_t who = TAKEN_BEFORE;
    for (int32_t i = 0; st >= 0 && who == TAKEN_BEFORE; i++) {
        if (i == TRIES_MAX) {
            st = sluice_error_set(err, SLUICE_E_INTERNAL, 0, "no free manifest number found");
            break;
        }
        st = append_once(log, m, &who, err);
        if (st >= 0) {
            log->next++;
            log->unsure = 0;
        }
    }
    if (st >= 0 && m->kind == SLUICE_LAKE_KIND_CDC) {
        st = keep_end(log, m->shard, log->next - 1, m->epoch, m->to, 1, err);
    }
    *again = who == TAKEN_SAME_WORK;
    pthread_mutex_unlock(&log->mutex);
    return st;
}

/* ---------------------------------------------------------------- recovery ------------------- */

static sluice_status visit_found(const struct sluice_lake_found *found,
                                 sluice_recovered_visit visit, void *vctx)
{
    struct sluice_recovered out = {.struct_size = (uint32_t)sizeof out};
    out.run = found->run[0] != 0 ? found->run : NULL;
    out.token.data = found->token;
    out.token.size = found->token_size;
    out.epoch = found->epoch;
    if (found->kind == SLUICE_LAKE_KIND_COMPLETE) {
        out.kind = SLUICE_RECOVERED_STREAM_COMPLETE;
        out.stream = found->stream;
        out.rows = found->rows;
    }
    else {
        out.kind = SLUICE_RECOVERED_LANE;
        out.shard_id = found->shard;
    }
    return visit(vctx, &out);
}

/* The last number now, and the last one we knew of. What came in between must be tries of ours that
 * were given up as failed and won all the same. */
static sluice_status catch_up(struct sluice_lake_commits *log, uint64_t *before, uint64_t *last,
                              struct sluice_error *err)
{
    pthread_mutex_lock(&log->mutex);
    *before = log->next - 1;
    sluice_status st = find_last(log, last, err);
    if (st >= 0 && *last >= log->next) {
        log->next = *last + 1;
        log->unsure = 0;
    }
    pthread_mutex_unlock(&log->mutex);
    return st;
}

/* Remembers what was found under number `seq`, all above it having been looked at before. */
static sluice_status keep_scanned(struct sluice_lake_commits *log,
                                  const struct sluice_lake_found *found, uint64_t seq,
                                  struct sluice_error *err)
{
    pthread_mutex_lock(&log->mutex);
    sluice_status st = keep_found(log, found, seq, is_ours(log, found), err);
    if (log->scanned == 0 || seq < log->scanned) {
        log->scanned = seq;
    }
    pthread_mutex_unlock(&log->mutex);
    return st;
}

sluice_status sluice_lake_commits_recover(struct sluice_lake_commits *log,
                                          sluice_recovered_visit visit, void *vctx,
                                          struct sluice_error *err)
{
    uint64_t last = 0;
    uint64_t before = 0;
    SLUICE_TRY(catch_up(log, &before, &last, err));
    uint64_t missing = 0;
    for (uint64_t seq = last; seq > 0 && missing < MISSING_MAX; seq--) {
        struct sluice_lake_found found = {0};
        if (log->host->cancelled(log->host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "cancelled");
        }
        sluice_status st = read_manifest(log, seq, &found, err);
        if (st == SLUICE_E_NOT_FOUND) { /* removed by hand or by a rule, like all before it */
            sluice_error_clear(err);
            missing++;
            continue;
        }
        missing = 0;
        if (st >= 0 && seq > before && !is_ours(log, &found)) {
            st = fenced(log, err);
        }
        if (st >= 0) {
            st = keep_scanned(log, &found, seq, err);
        }
        if (st >= 0) {
            st = visit_found(&found, visit, vctx);
        }
        sluice_lake_found_free(&found);
        if (st != SLUICE_OK) {
            return st < 0 ? st : SLUICE_OK;
        }
    }
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- ends of shards ------------- */

/* With the mutex: did a try of ours whose outcome is unknown win? */
static sluice_status settle(struct sluice_lake_commits *log, struct sluice_error *err)
{
    while (log->unsure) {
        struct sluice_lake_found found = {0};
        sluice_status st = read_manifest(log, log->next, &found, err);
        if (st == SLUICE_E_NOT_FOUND) {
            sluice_error_clear(err);
            return SLUICE_OK; /* it may still come: then it stands in the way of the next one */
        }
        if (st >= 0) {
            st = is_ours(log, &found) ? keep_found(log, &found, log->next, 1, err)
                                      : fenced(log, err);
        }
        sluice_lake_found_free(&found);
        SLUICE_TRY(st);
        log->next++;
        log->unsure = 0;
    }
    return SLUICE_OK;
}

/* With the mutex: looks at older and older manifests until one is of the shard. */
static sluice_status scan_back(struct sluice_lake_commits *log, const char *shard,
                               struct sluice_error *err)
{
    uint64_t missing = 0;
    if (log->scanned == 0) {
        log->scanned = log->next;
    }
    while (find_end(log, shard) == NULL && log->scanned > 1 && missing < MISSING_MAX) {
        struct sluice_lake_found found = {0};
        if (log->host->cancelled(log->host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "cancelled");
        }
        sluice_status st = read_manifest(log, log->scanned - 1, &found, err);
        if (st == SLUICE_E_NOT_FOUND) {
            sluice_error_clear(err);
            missing++;
            log->scanned--;
            continue;
        }
        missing = 0;
        if (st >= 0) {
            st = keep_found(log, &found, log->scanned - 1, is_ours(log, &found), err);
        }
        sluice_lake_found_free(&found);
        SLUICE_TRY(st);
        log->scanned--;
    }
    return SLUICE_OK;
}

sluice_status sluice_lake_commits_end(struct sluice_lake_commits *log, const char *shard,
                                      struct sluice_lake_end *out, struct sluice_error *err)
{
    memset(out, 0, sizeof *out);
    pthread_mutex_lock(&log->mutex);
    sluice_status st = log->fenced ? fenced(log, err) : settle(log, err);
    if (st >= 0) {
        st = scan_back(log, shard, err);
    }
    const struct sluice_lake_shard_end *end = st >= 0 ? find_end(log, shard) : NULL;
    if (end != NULL) {
        out->to = strdup(end->to);
        out->epoch = end->epoch;
        out->own = end->own;
        if (out->to == NULL) {
            st = sluice_error_set(err, SLUICE_E_NOMEM, 0, "no memory for a position");
        }
    }
    pthread_mutex_unlock(&log->mutex);
    return st < 0 ? sluice_error_wrap(err, "shard %s", shard) : SLUICE_OK;
}
