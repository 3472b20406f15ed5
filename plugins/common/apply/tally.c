#include "apply/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/position.h"

enum { WRITE = 1, WRITTEN = 2 };

/* Never freed before the end: a reason is changed on the lane's thread alone while it is planned. */
struct sluice_apply_tally {
    struct sluice_apply_tally *next;
    char *stream;
    char *reason;      /* set aside since; NULL = not */
    int planned;       /* WRITE, or WRITTEN into a transaction that is not committed yet; 0 = no */
    uint64_t rejected; /* in committed work */
};

sluice_status sluice_apply_tallies_init(struct sluice_apply_tallies *tallies,
                                        struct sluice_error *err)
{
    *tallies = (struct sluice_apply_tallies){.on_row_error = SLUICE_ROWS_STOP};
    return pthread_mutex_init(&tallies->mutex, NULL) == 0
               ? SLUICE_OK
               : sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                  "out of memory for a sink");
}

void sluice_apply_tallies_free(struct sluice_apply_tallies *tallies)
{
    while (tallies->first != NULL) {
        struct sluice_apply_tally *next = tallies->first->next;
        free(tallies->first->stream);
        free(tallies->first->reason);
        free(tallies->first);
        tallies->first = next;
    }
    (void)pthread_mutex_destroy(&tallies->mutex);
}

/* With the mutex. NULL = there is none, or out of memory: counts are for people, letters are exact. */
static struct sluice_apply_tally *find(struct sluice_apply_tallies *tallies, const char *stream,
                                       int make)
{
    struct sluice_apply_tally *tally = tallies->first;
    while (tally != NULL && strcmp(tally->stream, stream) != 0) {
        tally = tally->next;
    }
    if (tally == NULL && make) {
        tally = calloc(1, sizeof *tally);
        if (tally != NULL) {
            tally->stream = strdup(stream);
            if (tally->stream == NULL) {
                free(tally);
                return NULL;
            }
            tally->next = tallies->first;
            tallies->first = tally;
        }
    }
    return tally;
}

/* ---- rows ---- */

sluice_status sluice_apply_refuse(struct sluice_apply_tallies *tallies, uint64_t open,
                                  struct sluice_error *why, struct sluice_error *err)
{
    if (tallies->on_row_error == SLUICE_ROWS_STOP) {
        return err->status;
    }
    (void)pthread_mutex_lock(&tallies->mutex);
    const uint64_t before = tallies->rejected + open;
    (void)pthread_mutex_unlock(&tallies->mutex);
    if (tallies->max_rejected > 0 && before >= tallies->max_rejected) {
        err->status = SLUICE_E_LIMIT;
        err->flags = SLUICE_ERROR_FATAL;
        return sluice_error_wrap(err,
                                 "more rows were refused than on_error.max_rejected (%llu); the "
                                 "last",
                                 (unsigned long long)tallies->max_rejected);
    }
    *why = *err;
    sluice_error_clear(err);
    return tallies->on_row_error == SLUICE_ROWS_SKIP ? SLUICE_OK : SLUICE_AGAIN;
}

struct sluice_apply_open_stream {
    char *name;
    uint64_t rows;
};

void sluice_apply_open_add(struct sluice_apply_open *open, const char *stream)
{
    uint32_t i = 0;
    while (i < open->count && strcmp(open->streams[i].name, stream) != 0) {
        i++;
    }
    if (i == open->count) {
        struct sluice_apply_open_stream *grown =
            realloc(open->streams, (open->count + 1u) * sizeof *grown);
        char *name = strdup(stream);
        open->streams = grown != NULL ? grown : open->streams;
        if (grown == NULL || name == NULL) {
            free(name);
            return;
        }
        open->streams[open->count++] = (struct sluice_apply_open_stream){name, 0};
    }
    open->streams[i].rows++;
}

uint64_t sluice_apply_open_rows(const struct sluice_apply_open *open)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < open->count; i++) {
        rows += open->streams[i].rows;
    }
    return rows;
}

void sluice_apply_open_clear(struct sluice_apply_open *open)
{
    for (uint32_t i = 0; i < open->count; i++) {
        free(open->streams[i].name);
    }
    free(open->streams);
    *open = (struct sluice_apply_open){0};
}

void sluice_apply_open_settle(struct sluice_apply_open *open,
                              void (*settle)(void *ctx, const char *stream, uint64_t rows),
                              void *ctx)
{
    for (uint32_t i = 0; i < open->count; i++) {
        settle(ctx, open->streams[i].name, open->streams[i].rows);
    }
    sluice_apply_open_clear(open);
}

int sluice_apply_refused(struct sluice_apply_tallies *tallies, const char *stream, uint64_t rows)
{
    (void)pthread_mutex_lock(&tallies->mutex);
    struct sluice_apply_tally *tally = find(tallies, stream, 1);
    const int first = tally != NULL && tally->rejected == 0;
    if (tally != NULL) {
        tally->rejected += rows;
    }
    tallies->rejected += rows;
    (void)pthread_mutex_unlock(&tallies->mutex);
    return first;
}

sluice_status sluice_apply_letter_make(const struct sluice_apply_log *log,
                                       const struct sluice_apply_change *c,
                                       struct sluice_apply_letter *out, struct sluice_error *err)
{
    const struct sluice_apply_table *table = log->tables[c->table];
    const struct sluice_bytes pos = sluice_apply_change_pos(log, c);
    *out = (struct sluice_apply_letter){.seq = c->seq, .op = (char)c->source_op};
    if (pos.size * 2 < sizeof out->position) {
        sluice_hex_encode(pos.data, pos.size, out->position);
    }
    if (c->op == 'X') {
        const char *why = (const char *)log->arena + c->before + 4;
        sluice_apply_buffer_text(&out->row, (const char *)log->arena + c->after + 4);
        (void)sluice_error_set(err, SLUICE_E_DATA, SLUICE_ERROR_ROW_LEVEL, "%s", why + 6);
        (void)snprintf(err->sqlstate, sizeof err->sqlstate, "%.5s", why);
    }
    else {
        const uint64_t tuple = c->after != SLUICE_APPLY_NONE ? c->after : c->before;
        sluice_apply_tuple_json(log, table, tuple, 0, &out->row);
        if (c->before != SLUICE_APPLY_NONE) {
            sluice_apply_tuple_json(log, table, c->before, table->key_count > 0, &out->key);
            sluice_apply_buffer_add(&out->key, "", 1);
        }
    }
    sluice_apply_buffer_add(&out->row, "", 1);
    if (out->row.failed || out->key.failed) {
        sluice_apply_letter_free(out);
        return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL,
                                "out of memory for a letter");
    }
    return SLUICE_OK;
}

void sluice_apply_letter_free(struct sluice_apply_letter *letter)
{
    sluice_apply_buffer_free(&letter->row);
    sluice_apply_buffer_free(&letter->key);
}

void sluice_apply_letter_how(const struct sluice_write *w, struct sluice_apply_buffer *out)
{
    const int soft = w->mode != SLUICE_WRITE_HISTORY && w->deletes == SLUICE_DELETES_SOFT;
    sluice_apply_buffer_text(out, w->mode == SLUICE_WRITE_HISTORY       ? "insert"
                                  : w->deletes == SLUICE_DELETES_IGNORE ? "ignore"
                                  : soft                                ? "soft:"
                                                                        : "hard");
    sluice_apply_buffer_text(out, soft ? w->soft_column : "");
    sluice_apply_buffer_add(out, "", 1);
}

/* ---- tables that are set aside ---- */

int sluice_apply_is_aside(struct sluice_apply_tallies *tallies, const char *stream)
{
    (void)pthread_mutex_lock(&tallies->mutex);
    const struct sluice_apply_tally *tally = find(tallies, stream, 0);
    const int is = tally != NULL && tally->reason != NULL;
    (void)pthread_mutex_unlock(&tallies->mutex);
    return is;
}

static void set_aside(struct sluice_apply_tallies *tallies, const char *stream, const char *reason,
                      int planned)
{
    char *copy = reason != NULL ? strdup(reason) : NULL;
    (void)pthread_mutex_lock(&tallies->mutex);
    struct sluice_apply_tally *tally = find(tallies, stream, reason != NULL);
    if (tally != NULL) {
        free(tally->reason);
        tally->reason = copy;
        tally->planned = planned ? WRITE : tally->planned;
        copy = NULL;
    }
    (void)pthread_mutex_unlock(&tallies->mutex);
    free(copy);
}

void sluice_apply_aside(struct sluice_apply_tallies *tallies, const char *stream,
                        const char *reason)
{
    set_aside(tallies, stream, reason, 0);
}

void sluice_apply_aside_plan(struct sluice_apply_tallies *tallies, const char *stream,
                             const char *reason)
{
    set_aside(tallies, stream, reason, 1);
}

int sluice_apply_aside_pending(struct sluice_apply_tallies *tallies)
{
    int pending = 0;
    (void)pthread_mutex_lock(&tallies->mutex);
    for (const struct sluice_apply_tally *t = tallies->first; t != NULL; t = t->next) {
        pending |= t->planned != 0;
    }
    (void)pthread_mutex_unlock(&tallies->mutex);
    return pending;
}

sluice_status sluice_apply_aside_each(struct sluice_apply_tallies *tallies,
                                      sluice_apply_aside_visit visit, void *ctx,
                                      struct sluice_error *err)
{
    (void)pthread_mutex_lock(&tallies->mutex);
    struct sluice_apply_tally *first = tallies->first;
    (void)pthread_mutex_unlock(&tallies->mutex);
    for (struct sluice_apply_tally *t = first; t != NULL; t = t->next) {
        if (t->planned != 0) {
            SLUICE_TRY(visit(ctx, t->stream, t->reason, err));
            (void)pthread_mutex_lock(&tallies->mutex);
            t->planned = WRITTEN;
            (void)pthread_mutex_unlock(&tallies->mutex);
        }
    }
    return SLUICE_OK;
}

void sluice_apply_aside_done(struct sluice_apply_tallies *tallies)
{
    (void)pthread_mutex_lock(&tallies->mutex);
    for (struct sluice_apply_tally *t = tallies->first; t != NULL; t = t->next) {
        t->planned = t->planned == WRITTEN ? 0 : t->planned;
    }
    (void)pthread_mutex_unlock(&tallies->mutex);
}

int sluice_apply_is_for_good(const struct sluice_error *err)
{
    if ((err->flags & (SLUICE_ERROR_RETRYABLE | SLUICE_ERROR_FATAL)) != 0) {
        return 0;
    }
    switch (err->status) {
    case SLUICE_E_DATA:
    case SLUICE_E_SCHEMA:
    case SLUICE_E_PERMISSION:
    case SLUICE_E_NOT_FOUND:
    case SLUICE_E_LIMIT:
    case SLUICE_E_UNSUPPORTED:
    case SLUICE_E_INVALID:
        return 1;
    default:
        return 0;
    }
}

sluice_status sluice_apply_report(struct sluice_apply_tallies *tallies, sluice_report_visit visit,
                                  void *vctx, struct sluice_error *err)
{
    sluice_status status = SLUICE_OK;
    (void)pthread_mutex_lock(&tallies->mutex);
    for (const struct sluice_apply_tally *t = tallies->first; t != NULL && status == SLUICE_OK;
         t = t->next) {
        const struct sluice_sink_report report = {
            .struct_size = sizeof report,
            .flags = t->reason != NULL ? SLUICE_REPORT_QUARANTINED : 0u,
            .stream = t->stream,
            .reason = t->reason,
            .rejected = t->rejected};
        if (t->reason != NULL || t->rejected > 0) {
            status = visit(vctx, &report);
        }
    }
    (void)pthread_mutex_unlock(&tallies->mutex);
    return status < 0 ? sluice_error_set(err, status, 0, "the report was not taken") : SLUICE_OK;
}
