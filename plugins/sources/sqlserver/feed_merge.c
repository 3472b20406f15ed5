/* The order of the window's rows over all of its tables, as numbers within their transactions. */
#include <stdlib.h>
#include <string.h>

#include "feed.h"

struct ref {
    const struct feed_order *order;
    int64_t *seq; /* where its number goes */
};

static int compare(const void *a, const void *b)
{
    const struct feed_order *x = ((const struct ref *)a)->order;
    const struct feed_order *y = ((const struct ref *)b)->order;
    if (x->tx != y->tx) {
        return x->tx < y->tx ? -1 : 1;
    }
    if (x->command != y->command) {
        return x->command < y->command ? -1 : 1;
    }
    const int seq = memcmp(x->seqval, y->seqval, MS_LSN_BYTES);
    if (seq != 0) {
        return seq;
    }
    if (x->operation != y->operation) {
        return x->operation < y->operation ? -1 : 1;
    }
    return x < y ? -1 : x > y; /* of one table: as they were read */
}

static void number(struct ms_feed *feed, const struct ref *refs, int64_t count)
{
    int64_t seq = feed->tx_base;
    for (int64_t i = 0; i < count; i++) {
        if (i > 0 && refs[i].order->tx != refs[i - 1].order->tx) {
            seq = 0;
        }
        *refs[i].seq = ++seq;
    }
    feed->tx_base = feed->in_parts && !feed->last_part ? seq : 0;
}

static int compare_first(const void *a, const void *b)
{
    const struct ref x = {(*(struct feed_stream *const *)a)->order, NULL};
    const struct ref y = {(*(struct feed_stream *const *)b)->order, NULL};
    return compare(&x, &y);
}

static void list_streams(struct ms_feed *feed)
{
    feed->out_count = 0;
    feed->out_next = 0;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        if (feed->streams[i].built && feed->streams[i].rows.rows > 0) {
            feed->out[feed->out_count++] = &feed->streams[i];
        }
    }
    qsort(feed->out, feed->out_count, sizeof *feed->out, compare_first);
}

sluice_status ms_feed_merge(struct ms_feed *feed, struct sluice_error *err)
{
    int64_t count = 0;
    uint32_t tables = 0;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        const struct feed_stream *fs = &feed->streams[i];
        count += fs->built ? fs->rows.rows : 0;
        tables += fs->built && fs->rows.rows > 0;
    }
    struct ref *refs = malloc(((size_t)count + 1) * sizeof *refs);
    if (refs == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for the order of changes");
    }
    int64_t n = 0;
    for (uint32_t i = 0; i < feed->stream_count; i++) {
        const struct feed_stream *fs = &feed->streams[i];
        int64_t *seq = fs->built ? (int64_t *)(void *)fs->rows.columns[FEED_TX_SEQ].values : NULL;
        for (int64_t k = 0; fs->built && k < fs->rows.rows; k++) {
            refs[n++] = (struct ref){&fs->order[k], &seq[k]};
        }
    }
    if (tables > 1) { /* one table's rows are in order */
        qsort(refs, (size_t)n, sizeof *refs, compare);
    }
    number(feed, refs, n);
    free(refs);
    list_streams(feed);
    return SLUICE_OK;
}
