/*
 * Writes a lake into a folder as told on standard input, without an engine or a database, so that the
 * readers of docs/object-layout.md can be tried: `lake_feed FOLDER [key=value …]` (options of the sink;
 * enums as their index). Rows have the columns id int32, name utf8, note utf8: "1|a|x"; "~" is NULL,
 * "?" was not sent. One command a line, fields divided by one space:
 *
 *   stream ID NAME none|key|full KEYS      changes begin; KEYS are column indexes ("0", "01", "-")
 *   load ID RUN POSITION ROW …             a whole load at that position
 *   change ID OP POSITION SEQ OLD NEW      OLD, NEW: a row or "-"
 *   truncate ID POSITION SEQ
 *   commit POSITION
 *   restart                                what was not committed is lost
 *
 * Positions are decimal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../changes.h"
#include "file_store.h"
#include "sluice/position.h"

enum { STREAMS = 16, FIELDS = 4096, LINE = 1 << 20, OPTIONS = 16 };

struct feed {
    struct test_host host;
    struct sluice_sink *sink;
    struct sluice_lane *lane;
    const char *folder;
    struct test_stream streams[STREAMS];
    char names[STREAMS][128];
    int32_t known[STREAMS];
    uint64_t epoch;
    uint64_t position; /* of the last commit */
};

static void must(sluice_status st, const struct sluice_error *err)
{
    if (st < 0) {
        (void)fprintf(stderr, "%s: %s\n", sluice_status_name(st), err->message);
        exit(1);
    }
}

static void open_all(struct feed *f)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_store *store = NULL;
    struct sluice_sink_plan plan = {.struct_size = (uint32_t)sizeof plan};
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard};
    uint8_t start[8];
    must(sluice_file_store_create(&f->host.host, f->folder, &store, &err), &err);
    must(sluice_lake_sink_create(&f->host.host, &sluice_file_store_api, store, &f->sink, &err),
         &err);
    plan.mode = SLUICE_MODE_FULL_LOAD_AND_CDC;
    plan.pipeline = "hr_to_lake";
    plan.node = "lake";
    must(sluice_lake_sink_open(f->sink, &plan, &err), &err);
    sluice_put_be64(start, f->position);
    shard.kind = SLUICE_SHARD_CHANGES;
    shard.id = "hr/changes";
    shard.start.data = start;
    shard.start.size = sizeof start;
    must(sluice_lake_sink_lane_open(f->sink, &shard, &f->lane, &err), &err);
}

static void close_all(struct feed *f)
{
    sluice_lake_sink_lane_close(f->lane);
    sluice_lake_sink_destroy(f->sink);
}

static void begin(struct feed *f, uint32_t id)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_stream_begin b = {.struct_size = (uint32_t)sizeof b,
                                    .flags = SLUICE_BEGIN_CHANGES,
                                    .desc = &f->streams[id].desc};
    must(sluice_lake_sink_stream_begin(f->sink, &b, &err), &err);
}

static void do_stream(struct feed *f, uint32_t id, char **words)
{
    int32_t before = strcmp(words[3], "key") == 0    ? SLUICE_BEFORE_KEY
                     : strcmp(words[3], "full") == 0 ? SLUICE_BEFORE_FULL
                                                     : SLUICE_BEFORE_NONE;
    if (f->known[id]) {
        test_stream_free(&f->streams[id]);
    }
    test_stream_init(&f->streams[id], before, strcmp(words[4], "-") == 0 ? "" : words[4]);
    (void)snprintf(f->names[id], sizeof f->names[id], "%s", words[2]);
    f->streams[id].desc.name = f->names[id];
    f->streams[id].desc.stream_id = id + 1;
    f->known[id] = 1;
    begin(f, id);
}

static void put_text(struct sluice_column *col, const char *text, size_t n)
{
    if (n == 1 && *text == '~') {
        (void)sluice_column_put_null(col, NULL);
    }
    else if (col->offsets == NULL) {
        sluice_column_put_i32(col, (int32_t)strtol(text, NULL, 10));
    }
    else if (sluice_column_put_bytes(col, text, n, NULL) < 0) {
        exit(1);
    }
}

static void do_load(struct feed *f, uint32_t id, char **words, uint32_t count)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct test_stream *stream = &f->streams[id];
    struct sluice_lane *lane = NULL;
    struct sluice_rows rows;
    struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
    struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = 1};
    struct sluice_stream_end end = {.struct_size = (uint32_t)sizeof end, .stream_id = id + 1};
    struct sluice_stream_begin b = {.struct_size = (uint32_t)sizeof b,
                                    .flags = SLUICE_BEGIN_LOAD,
                                    .desc = &stream->desc,
                                    .run = words[2]};
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard, .stream_count = 1};
    const uint64_t ids[] = {id + 1};
    uint8_t position[8];
    char text[17];
    sluice_put_be64(position, strtoull(words[3], NULL, 10));
    sluice_hex_encode(position, sizeof position, text);
    stream->desc.load_position.data = position;
    stream->desc.load_position.size = sizeof position;
    must(sluice_lake_sink_stream_begin(f->sink, &b, &err), &err);
    shard.kind = SLUICE_SHARD_SNAPSHOT;
    shard.id = "hr/part/0";
    shard.stream_ids = ids;
    must(sluice_lake_sink_lane_open(f->sink, &shard, &lane, &err), &err);
    must(sluice_rows_init(&rows, &stream->schema, FIELDS, &err), &err);
    for (uint32_t i = 4; i < count; i++) {
        const char *at = words[i];
        for (int32_t k = 0; k < 3; k++) {
            size_t n = strcspn(at, "|");
            put_text(&rows.columns[k], at, n);
            at += n + (at[n] == '|' ? 1 : 0);
        }
        sluice_rows_end_row(&rows);
    }
    batch.kind = SLUICE_BATCH_ROWS;
    batch.stream_id = id + 1;
    batch.schema_id = 1;
    must(sluice_rows_finish(&rows, &batch.array, &err), &err);
    sluice_rows_free(&rows);
    must(sluice_lake_sink_lane_write(lane, &batch, &err), &err);
    must(sluice_lake_sink_lane_commit(lane, &commit, &err), &err);
    sluice_lake_sink_lane_close(lane);
    end.run = words[2];
    end.rows = count - 4;
    end.load_position_text = text;
    must(sluice_lake_sink_stream_end(f->sink, &end, &err), &err);
    stream->desc.load_position.size = 0;
}

static void do_change(struct feed *f, uint32_t id, char **words)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_batch batch;
    const struct test_change changes[] = {{words[2][0], strtoull(words[3], NULL, 10),
                                           strtoll(words[4], NULL, 10), INT64_C(1795395154123456),
                                           "748", strcmp(words[5], "-") == 0 ? NULL : words[5],
                                           strcmp(words[6], "-") == 0 ? NULL : words[6]},
                                          {0, 0, 0, 0, NULL, NULL, NULL}};
    test_changes_batch(&f->streams[id], changes, &batch);
    must(sluice_lake_sink_lane_write(f->lane, &batch, &err), &err);
}

static void do_truncate(struct feed *f, uint32_t id, char **words)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_batch batch;
    test_truncate_batch(&f->streams[id], strtoull(words[2], NULL, 10), strtoll(words[3], NULL, 10),
                        INT64_C(1795395154123456), "748", &batch);
    must(sluice_lake_sink_lane_write(f->lane, &batch, &err), &err);
}

static void do_commit(struct feed *f, const char *text)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_commit commit = {.struct_size = (uint32_t)sizeof commit, .epoch = ++f->epoch};
    uint8_t position[8];
    f->position = strtoull(text, NULL, 10);
    sluice_put_be64(position, f->position);
    commit.position.data = position;
    commit.position.size = sizeof position;
    commit.token = commit.position;
    must(sluice_lake_sink_lane_commit(f->lane, &commit, &err), &err);
}

static void obey(struct feed *f, char **words, uint32_t count)
{
    uint32_t id = count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) % STREAMS : 0;
    if (strcmp(words[0], "stream") == 0 && count == 5) {
        do_stream(f, id, words);
    }
    else if (strcmp(words[0], "load") == 0 && count >= 4) {
        do_load(f, id, words, count);
    }
    else if (strcmp(words[0], "change") == 0 && count == 7) {
        do_change(f, id, words);
    }
    else if (strcmp(words[0], "truncate") == 0 && count == 4) {
        do_truncate(f, id, words);
    }
    else if (strcmp(words[0], "commit") == 0 && count == 2) {
        do_commit(f, words[1]);
    }
    else if (strcmp(words[0], "restart") == 0) {
        close_all(f);
        open_all(f);
        for (uint32_t i = 0; i < STREAMS; i++) {
            if (f->known[i]) {
                begin(f, i);
            }
        }
    }
    else {
        (void)fprintf(stderr, "not understood: %s\n", words[0]);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static struct feed f;
    static char line[LINE];
    static char *words[FIELDS];
    static struct test_option options[OPTIONS + 1];
    if (argc < 2) {
        return 2;
    }
    for (int i = 2; i < argc && i < OPTIONS; i++) {
        char *value = strchr(argv[i], '=');
        if (value == NULL) {
            return 2;
        }
        *value++ = 0;
        options[i - 2] = (struct test_option){argv[i], SLUICE_OPTION_ENUM,
                                              (int64_t)strtol(value, NULL, 10), value};
    }
    test_host_init(&f.host, options);
    f.folder = argv[1];
    open_all(&f);
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint32_t count = 0;
        line[strcspn(line, "\n")] = 0;
        char *at = line;
        while (*at != 0 && count < FIELDS) {
            words[count++] = at;
            at += strcspn(at, " ");
            if (*at == ' ') {
                *at++ = 0;
            }
        }
        if (count > 0) {
            obey(&f, words, count);
        }
    }
    close_all(&f);
    for (uint32_t i = 0; i < STREAMS; i++) {
        if (f.known[i]) {
            test_stream_free(&f.streams[i]);
        }
    }
    return 0;
}
