#include "state_part.h"

#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "text.h"

void sluice_cli_state_time(int64_t wall_us, char out[32])
{
    if (wall_us == 0) {
        memcpy(out, "-", 2);
        return;
    }
    sluice_time_iso(wall_us, out);
    out[10] = ' ';
    out[19] = '\0';
}

/* ---------------------------------------------------------------- streams -------------------- */

static const char *stream_status(int32_t status)
{
    switch (status) {
    case SLUICE_STATE_STREAM_PENDING:
        return "pending";
    case SLUICE_STATE_STREAM_LOADING:
        return "loading";
    case SLUICE_STATE_STREAM_COMPLETE:
        return "complete";
    case SLUICE_STATE_STREAM_FAILED:
        return "failed";
    default:
        return "?";
    }
}

void sluice_cli_streams_init(struct sluice_cli_streams *streams, int positions, json_t *list)
{
    static const char *const plain[] = {"table", "source", "sink",     "status",
                                        "rows",  "run",    "finished", "message"};
    static const char *const more[] = {"table", "source",        "sink",     "status", "rows",
                                       "run",   "load position", "finished", "message"};
    memset(streams, 0, sizeof *streams);
    streams->list = list;
    streams->positions = positions;
    if (positions) {
        sluice_cli_table_init(&streams->table, 9, more, 0x10, 0x101);
    }
    else {
        sluice_cli_table_init(&streams->table, 8, plain, 0x10, 0x81);
    }
}

static json_t *stream_json(const struct sluice_state_stream *s)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, "source", sluice_cli_json_text(s->source));
    (void)json_object_set_new(object, "stream", sluice_cli_json_text(s->stream));
    (void)json_object_set_new(object, "sink", sluice_cli_json_text(s->sink));
    (void)json_object_set_new(object, "status", json_string(stream_status(s->status)));
    (void)json_object_set_new(object, "run", sluice_cli_json_text(s->run));
    (void)json_object_set_new(object, "rows", json_integer(s->rows));
    (void)json_object_set_new(object, "bytes", json_integer(s->bytes));
    (void)json_object_set_new(object, "started", sluice_cli_json_time(s->started_us));
    (void)json_object_set_new(object, "finished", sluice_cli_json_time(s->finished_us));
    (void)json_object_set_new(object, "load_position", sluice_cli_json_text(s->load_position));
    (void)json_object_set_new(object, "message", sluice_cli_json_message(s->message));
    return object;
}

sluice_status sluice_cli_streams_visit(void *ctx, const struct sluice_state_stream *s)
{
    struct sluice_cli_streams *streams = ctx;
    struct sluice_cli_table *table = &streams->table;
    char text[32];
    if (streams->stream != NULL && strcmp(streams->stream, s->stream) != 0) {
        return SLUICE_OK;
    }
    streams->found++;
    streams->complete += s->status == SLUICE_STATE_STREAM_COMPLETE;
    streams->begun += s->status == SLUICE_STATE_STREAM_LOADING;
    if (streams->list != NULL) {
        (void)json_array_append_new(streams->list, stream_json(s));
        return SLUICE_OK;
    }
    int style = s->status == SLUICE_STATE_STREAM_COMPLETE ? SLUICE_STYLE_GOOD
                : s->status == SLUICE_STATE_STREAM_FAILED ? SLUICE_STYLE_BAD
                                                          : SLUICE_STYLE_WARN;
    sluice_cli_table_add(table, SLUICE_STYLE_NAME, s->stream);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, s->source);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, s->sink);
    sluice_cli_table_add(table, style, stream_status(s->status));
    sluice_cli_table_add_count(table, s->rows);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, s->run);
    if (streams->positions) {
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, s->load_position);
    }
    sluice_cli_state_time(s->finished_us, text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE,
                         s->message != NULL ? sluice_cli_error_about(s->message, s->stream) : "");
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- feeds ---------------------- */

void sluice_cli_feeds_init(struct sluice_cli_feeds *feeds, json_t *list)
{
    static const char *const heads[] = {"feed",    "sink",         "position", "epoch",
                                        "changes", "transactions", "updated"};
    memset(feeds, 0, sizeof *feeds);
    feeds->list = list;
    sluice_cli_table_init(&feeds->table, 7, heads, 0x38, 0x01);
}

/* As manifests and object names write it. */
static void position_text(const struct sluice_state_feed *feed, struct sluice_str *out)
{
    const unsigned char *bytes = feed->position;
    for (uint64_t i = 0; i < feed->position_size; i++) {
        sluice_str_printf(out, "%02x", bytes[i]);
    }
}

sluice_status sluice_cli_feeds_visit(void *ctx, const struct sluice_state_feed *feed)
{
    struct sluice_cli_feeds *feeds = ctx;
    struct sluice_str position = SLUICE_STR_INIT;
    char text[32];
    int has_position = feed->position_size > 0;
    feeds->found++;
    feeds->positions += has_position ? 1 : 0;
    position_text(feed, &position);
    if (feeds->list != NULL) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "source", sluice_cli_json_text(feed->source));
        (void)json_object_set_new(object, "shard", sluice_cli_json_text(feed->shard));
        (void)json_object_set_new(object, "sink", sluice_cli_json_text(feed->sink));
        (void)json_object_set_new(
            object, "position",
            sluice_cli_json_text(has_position ? sluice_str_text(&position) : NULL));
        (void)json_object_set_new(object, "epoch", json_integer((json_int_t)feed->epoch));
        (void)json_object_set_new(object, "changes", json_integer(feed->changes));
        (void)json_object_set_new(object, "transactions", json_integer(feed->transactions));
        (void)json_object_set_new(object, "updated", sluice_cli_json_time(feed->updated_us));
        (void)json_array_append_new(feeds->list, object);
    }
    else {
        sluice_cli_table_add(&feeds->table, SLUICE_STYLE_NAME, feed->shard);
        sluice_cli_table_add(&feeds->table, SLUICE_STYLE_NONE, feed->sink);
        sluice_cli_table_add(&feeds->table, has_position ? SLUICE_STYLE_NONE : SLUICE_STYLE_WARN,
                             has_position ? sluice_str_text(&position) : "begins anew");
        sluice_cli_table_add_count(&feeds->table, (int64_t)feed->epoch);
        sluice_cli_table_add_count(&feeds->table, feed->changes);
        sluice_cli_table_add_count(&feeds->table, feed->transactions);
        sluice_cli_state_time(feed->updated_us, text);
        sluice_cli_table_add(&feeds->table, SLUICE_STYLE_NONE, text);
    }
    sluice_str_free(&position);
    return SLUICE_OK;
}

sluice_status sluice_cli_state_created(struct sluice_state *state,
                                       const struct sluice_pipeline *pipeline,
                                       struct sluice_str *out, json_t *object,
                                       struct sluice_error *err)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        char *created = NULL;
        if (node->kind != SLUICE_SOURCE) {
            continue;
        }
        sluice_status status = sluice_state_created_get(state, node->id, &created, err);
        if (status == SLUICE_E_NOT_FOUND) {
            sluice_error_clear(err);
            continue;
        }
        SLUICE_TRY(status);
        if (object != NULL) {
            (void)json_object_set_new(object, node->id, sluice_cli_json_text(created));
        }
        else {
            sluice_str_printf(out, "made at %s: ", node->id);
            sluice_cli_text_escape(out, created);
            sluice_str_append_char(out, '\n');
        }
        sluice_free(created);
    }
    return SLUICE_OK;
}
