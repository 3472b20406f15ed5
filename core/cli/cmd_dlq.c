/* dlq list, show, replay: rows that targets refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli.h"
#include "flow/letters.h"
#include "table.h"
#include "text.h"

struct kept_letter {
    char *sink;
    uint64_t id;
    int replayed;
};

struct dlq {
    struct sluice_cli *cli;
    struct sluice_cli_table table;
    json_t *list;
    uint64_t wanted; /* show: this one alone; 0 = all */
    size_t count;
    struct sluice_str text;
    struct kept_letter *letters; /* replay */
    size_t cap;
};

static json_t *letter_json(const char *sink, const struct sluice_letter *letter)
{
    json_t *object = json_object();
    json_t *row = json_loads(letter->row, 0, NULL);
    (void)json_object_set_new(object, "id", json_integer((json_int_t)letter->id));
    (void)json_object_set_new(object, "sink", sluice_cli_json_text(sink));
    (void)json_object_set_new(object, "stream", sluice_cli_json_text(letter->stream));
    (void)json_object_set_new(object, "op", sluice_cli_json_text(letter->op));
    (void)json_object_set_new(object, "position", sluice_cli_json_text(letter->position));
    (void)json_object_set_new(object, "sqlstate", sluice_cli_json_text(letter->sqlstate));
    (void)json_object_set_new(object, "error", sluice_cli_json_message(letter->error));
    (void)json_object_set_new(object, "rejected_at", sluice_cli_json_time(letter->rejected_us));
    (void)json_object_set_new(object, "replayed_at", sluice_cli_json_time(letter->replayed_us));
    (void)json_object_set_new(object, "row", row != NULL ? row : sluice_cli_json_text(letter->row));
    json_t *key = letter->key != NULL ? json_loads(letter->key, 0, NULL) : NULL;
    (void)json_object_set_new(object, "key", key != NULL ? key : json_null());
    return object;
}

static sluice_status list_letter(void *ctx, const char *sink, const struct sluice_letter *letter)
{
    struct dlq *dlq = ctx;
    char time[32] = "-";
    dlq->count++;
    if (dlq->cli->json) {
        (void)json_array_append_new(dlq->list, letter_json(sink, letter));
        return SLUICE_OK;
    }
    sluice_cli_table_addf(&dlq->table, SLUICE_STYLE_NONE, "%llu", (unsigned long long)letter->id);
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NONE, sink);
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NAME, letter->stream);
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NONE, letter->op);
    sluice_time_iso(letter->rejected_us, time);
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NONE, time);
    sluice_cli_table_add(&dlq->table,
                         letter->replayed_us != 0 ? SLUICE_STYLE_GOOD : SLUICE_STYLE_WARN,
                         letter->replayed_us != 0 ? "replayed" : "waits");
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NONE, letter->sqlstate);
    sluice_cli_table_add(&dlq->table, SLUICE_STYLE_NONE, letter->error);
    return SLUICE_OK;
}

static void field(struct sluice_str *out, const char *name, const char *value)
{
    sluice_str_printf(out, "%-10s", name);
    sluice_cli_text_escape(out, value != NULL ? value : "-");
    sluice_str_append_char(out, '\n');
}

static void pretty(struct sluice_str *out, const char *name, const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    struct sluice_str dump = SLUICE_STR_INIT;
    sluice_str_printf(out, "%s\n", name);
    if (json != NULL) {
        sluice_cli_json_dump(json, JSON_INDENT(2), &dump);
        json_decref(json);
    }
    sluice_cli_text_escape_lines(out, json != NULL ? sluice_str_text(&dump) : text, 0);
    sluice_str_append_char(out, '\n');
    sluice_str_free(&dump);
}

static sluice_status show_letter(void *ctx, const char *sink, const struct sluice_letter *letter)
{
    struct dlq *dlq = ctx;
    char time[32];
    if (letter->id != dlq->wanted) {
        return letter->id > dlq->wanted ? SLUICE_END : SLUICE_OK;
    }
    dlq->count++;
    if (dlq->cli->json) {
        (void)json_object_set_new(dlq->cli->result, "letter", letter_json(sink, letter));
        return SLUICE_END;
    }
    struct sluice_str *out = &dlq->text;
    sluice_str_printf(out, "%-10s%llu\n", "letter", (unsigned long long)letter->id);
    field(out, "sink", sink);
    field(out, "table", letter->stream);
    field(out, "op", letter->op);
    field(out, "position", letter->position);
    sluice_time_iso(letter->rejected_us, time);
    field(out, "refused", time);
    if (letter->replayed_us != 0) {
        sluice_time_iso(letter->replayed_us, time);
        field(out, "replayed", time);
    }
    field(out, "sqlstate", letter->sqlstate);
    field(out, "error", letter->error);
    if (letter->key != NULL) {
        pretty(out, "key", letter->key);
    }
    pretty(out, "row", letter->row);
    return SLUICE_END;
}

static sluice_status keep_letter(void *ctx, const char *sink, const struct sluice_letter *letter)
{
    struct dlq *dlq = ctx;
    if (!sluice_alloc_grow((void **)&dlq->letters, &dlq->cap, dlq->count + 1,
                           sizeof *dlq->letters)) {
        return SLUICE_E_NOMEM;
    }
    char *copy = sluice_alloc_string(sink);
    if (copy == NULL) {
        return SLUICE_E_NOMEM;
    }
    dlq->letters[dlq->count++] = (struct kept_letter){copy, letter->id, letter->replayed_us != 0};
    return SLUICE_OK;
}

/* Reads letters; exit code. */
static int read_letters(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                        struct dlq *dlq, uint64_t from, sluice_flow_letter_visit visit)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    size_t kept = 0;
    if (sluice_flow_letters(pipeline, cli->args.value[SLUICE_OPT_STREAM], from, &cli->cancel, visit,
                            dlq, &kept, &err) < 0) {
        return sluice_cli_error_report(cli, pipeline->name, &err);
    }
    if (kept == 0) {
        sluice_cli_error(cli, SLUICE_E_UNSUPPORTED, "no sink of this pipeline keeps dead letters",
                         "sinks that keep rows in tables do, with on_error: {rows: dlq}");
        return SLUICE_EXIT_CONFIG;
    }
    return SLUICE_EXIT_OK;
}

/* A number of a letter; 0 = it is none. */
static uint64_t letter_id(const char *word)
{
    char *end = NULL;
    const unsigned long long id = strtoull(word, &end, 10);
    return *end == '\0' && word[0] >= '0' && word[0] <= '9' ? id : 0;
}

static int wrong_id(struct sluice_cli *cli, const char *what, const char *word)
{
    struct sluice_str message = SLUICE_STR_INIT;
    sluice_str_append(&message, what);
    sluice_cli_text_escape(&message, word);
    sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                     "sluice dlq list shows them");
    sluice_str_free(&message);
    return SLUICE_EXIT_CONFIG;
}

int sluice_cli_dlq_list(struct sluice_cli *cli)
{
    static const char *const headers[] = {"id",      "sink",   "table",    "op",
                                          "refused", "status", "sqlstate", "error"};
    struct sluice_pipeline *pipeline = NULL;
    struct dlq dlq = {.cli = cli, .list = cli->json ? json_array() : NULL};
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    sluice_cli_table_init(&dlq.table, 8, headers, 0x1, 0x80);
    if (code == SLUICE_EXIT_OK) {
        code = read_letters(cli, pipeline, &dlq, 0, list_letter);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "letters", dlq.list);
    }
    else if (code == SLUICE_EXIT_OK) {
        if (dlq.count == 0) {
            sluice_str_append(&dlq.text, "no letters\n");
        }
        else {
            sluice_cli_table_render(&dlq.table, &cli->out, &dlq.text);
        }
        sluice_cli_out_always(cli, &dlq.text);
    }
    sluice_cli_table_free(&dlq.table);
    sluice_str_free(&dlq.text);
    sluice_pipeline_free(pipeline);
    return code;
}

int sluice_cli_dlq_show(struct sluice_cli *cli)
{
    struct sluice_pipeline *pipeline = NULL;
    struct dlq dlq = {.cli = cli, .wanted = letter_id(cli->args.words.items[1])};
    if (dlq.wanted == 0) {
        return wrong_id(cli, "not the number of a letter: ", cli->args.words.items[1]);
    }
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code == SLUICE_EXIT_OK) {
        code = read_letters(cli, pipeline, &dlq, dlq.wanted, show_letter);
    }
    if (code == SLUICE_EXIT_OK && dlq.count == 0) {
        code = wrong_id(cli, "not the number of a letter: ", cli->args.words.items[1]);
    }
    sluice_cli_out_always(cli, &dlq.text);
    sluice_str_free(&dlq.text);
    sluice_pipeline_free(pipeline);
    return code;
}

/* ---- replay ---- */

static char *read_row(struct sluice_cli *cli, const char *path)
{
    struct sluice_str text = SLUICE_STR_INIT;
    char piece[4096];
    FILE *file = fopen(path, "rb");
    for (size_t n = 1; file != NULL && n > 0;) {
        n = fread(piece, 1, sizeof piece, file);
        sluice_str_append_n(&text, piece, n);
    }
    json_t *json =
        file != NULL && !text.failed ? json_loads(sluice_str_text(&text), 0, NULL) : NULL;
    const int right = json_is_object(json);
    json_decref(json);
    if (file != NULL) {
        (void)fclose(file);
    }
    if (!right) {
        struct sluice_str message = SLUICE_STR_INIT;
        sluice_cli_text_escape(&message, path);
        sluice_str_append(&message, ": no JSON object of a row");
        sluice_cli_error(cli, SLUICE_E_INVALID, sluice_str_text(&message),
                         "as `sluice dlq show` prints it under row");
        sluice_str_free(&message);
        sluice_str_free(&text);
        return NULL;
    }
    char *copy = sluice_alloc_string(sluice_str_text(&text));
    sluice_str_free(&text);
    return copy;
}

static int is_asked(const struct sluice_cli *cli, uint64_t id)
{
    if (sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL)) {
        return 1;
    }
    for (size_t i = 1; i < cli->args.words.count; i++) {
        if (letter_id(cli->args.words.items[i]) == id) {
            return 1;
        }
    }
    return 0;
}

/* Tells of one; 1 = it went. */
static int replay_one(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                      const struct kept_letter *letter, const char *row, struct dlq *dlq)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const int went =
        sluice_flow_replay(pipeline, letter->sink, letter->id, row, &cli->cancel, &err) >= 0;
    if (cli->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "id", json_integer((json_int_t)letter->id));
        (void)json_object_set_new(object, "replayed", json_boolean(went));
        (void)json_object_set_new(object, "error",
                                  went ? json_null() : sluice_cli_json_message(err.message));
        (void)json_array_append_new(dlq->list, object);
        return went;
    }
    sluice_str_printf(&dlq->text, "letter %llu: %s", (unsigned long long)letter->id,
                      went ? "replayed" : "stays: ");
    if (!went) {
        sluice_cli_text_escape(&dlq->text, err.message);
    }
    sluice_str_append_char(&dlq->text, '\n');
    sluice_cli_out_always(cli, &dlq->text);
    return went;
}

static int replay_all(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                      struct dlq *dlq, const char *row)
{
    size_t went = 0;
    size_t asked = 0;
    for (size_t i = 0; i < dlq->count; i++) {
        const struct kept_letter *letter = &dlq->letters[i];
        const int named = !sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL);
        if (is_asked(cli, letter->id) && (named || !letter->replayed)) {
            asked++;
            went += replay_one(cli, pipeline, letter, row, dlq) ? 1u : 0u;
        }
    }
    if (!cli->json) {
        sluice_str_printf(&dlq->text, "%zu of %zu letters replayed\n", went, asked);
        sluice_cli_out_always(cli, &dlq->text);
    }
    return went < asked ? SLUICE_EXIT_REJECTED : SLUICE_EXIT_OK;
}

/* All that were named are there, or none is replayed. */
static int find_named(struct sluice_cli *cli, const struct dlq *dlq)
{
    for (size_t w = 1; w < cli->args.words.count; w++) {
        size_t i = 0;
        while (i < dlq->count && dlq->letters[i].id != letter_id(cli->args.words.items[w])) {
            i++;
        }
        if (i == dlq->count) {
            return wrong_id(cli, "this pipeline has no letter ", cli->args.words.items[w]);
        }
    }
    return SLUICE_EXIT_OK;
}

int sluice_cli_dlq_replay(struct sluice_cli *cli)
{
    struct sluice_pipeline *pipeline = NULL;
    struct dlq dlq = {.cli = cli, .list = cli->json ? json_array() : NULL};
    const char *file = cli->args.value[SLUICE_OPT_ROW];
    const int all = sluice_cli_args_has(&cli->args, SLUICE_OPT_ALL);
    const size_t named = cli->args.words.count - 1;
    char *row = NULL;
    int code = SLUICE_EXIT_OK;
    for (size_t i = 1; i <= named; i++) {
        if (letter_id(cli->args.words.items[i]) == 0) {
            code = wrong_id(cli, "not the number of a letter: ", cli->args.words.items[i]);
        }
    }
    if (code == SLUICE_EXIT_OK && (all == (named > 0) || (file != NULL && named != 1))) {
        sluice_cli_error(cli, SLUICE_E_INVALID,
                         file != NULL ? "--row wants one letter" : "which letters?",
                         "name their numbers, or give --all");
        code = SLUICE_EXIT_CONFIG;
    }
    if (code == SLUICE_EXIT_OK && file != NULL) {
        row = read_row(cli, file);
        code = row != NULL ? SLUICE_EXIT_OK : SLUICE_EXIT_CONFIG;
    }
    if (code == SLUICE_EXIT_OK) {
        code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    }
    if (code == SLUICE_EXIT_OK) {
        code = read_letters(cli, pipeline, &dlq, 0, keep_letter);
    }
    if (code == SLUICE_EXIT_OK) {
        code = find_named(cli, &dlq);
    }
    if (code == SLUICE_EXIT_OK) {
        code = replay_all(cli, pipeline, &dlq, row);
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "letters", dlq.list);
    }
    for (size_t i = 0; i < dlq.count && dlq.letters != NULL; i++) {
        sluice_free(dlq.letters[i].sink);
    }
    sluice_free(dlq.letters);
    sluice_free(row);
    sluice_str_free(&dlq.text);
    sluice_pipeline_free(pipeline);
    return code;
}
