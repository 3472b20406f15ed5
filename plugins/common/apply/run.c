#include "apply/run.h"

sluice_status sluice_apply_transactions(const struct sluice_apply_run *run, uint64_t epoch,
                                        const struct sluice_commit *commit,
                                        struct sluice_error *err)
{
    const struct sluice_apply_log *log = run->log;
    const struct sluice_bytes none = {NULL, 0};
    size_t from = 0;
    for (size_t i = 0; i + 1 < log->count; i++) {
        if (!sluice_apply_is_last_of_tx(log, i)) {
            continue;
        }
        const struct sluice_bytes pos = sluice_apply_change_pos(log, &log->changes[i]);
        const struct sluice_commit part = {.struct_size = sizeof part, .epoch = epoch};
        SLUICE_TRY(run->ordered(run->lane, from, i + 1, &part, pos, err));
        SLUICE_TRY(run->settled(run->lane, pos, err));
        from = i + 1;
    }
    return run->ordered(run->lane, from, log->count, commit, none, err);
}

/* From `from` on: changes that are (`emptied`) or are not TRUNCATEs. */
static size_t end_of(const struct sluice_apply_log *log, size_t from, int emptied)
{
    while (from < log->count && (log->changes[from].op == 'T') == emptied) {
        from++;
    }
    return from;
}

sluice_status sluice_apply_parts(const struct sluice_apply_run *run, struct sluice_error *err)
{
    const struct sluice_apply_log *log = run->log;
    const struct sluice_bytes none = {NULL, 0};
    size_t from = 0;
    SLUICE_TRY(run->begin(run->lane, err));
    while (from < log->count) {
        size_t to = end_of(log, from, 0);
        if (to > from) {
            sluice_status status = SLUICE_AGAIN;
            if (to - from > run->small_rows) {
                status = run->sets(run->lane, from, to, err);
            }
            if (status == SLUICE_AGAIN) {
                status = run->ordered(run->lane, from, to, NULL, none, err);
            }
            SLUICE_TRY(status);
        }
        from = to;
        to = end_of(log, from, 1);
        if (to > from) {
            SLUICE_TRY(run->ordered(run->lane, from, to, NULL, none, err));
        }
        from = to;
    }
    return SLUICE_OK;
}
