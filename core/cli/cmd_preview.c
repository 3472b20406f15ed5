/* preview: the first rows as they would reach the sinks. */
#include <string.h>

#include "base/alloc.h"
#include "cell.h"
#include "cli.h"
#include "flow/inspect.h"
#include "table.h"
#include "text.h"

#define ROWS_DEFAULT 10

/* Bytes of one value that are shown as text. */
#define VALUE_SHOWN 200

struct preview {
    struct sluice_cli *cli;
    char *sink; /* of the rows collected below */
    char *stream;
    char **names;                  /* of the columns */
    struct sluice_cli_cell *cells; /* row by row; text is not yet harmless */
    size_t columns;
    size_t count;
    size_t cap;
    size_t streams;
    uint64_t rows;
    int failed;
};

static void forget(struct preview *pv)
{
    for (size_t i = 0; i < pv->columns && pv->names != NULL; i++) {
        sluice_free(pv->names[i]);
    }
    for (size_t i = 0; i < pv->count; i++) {
        sluice_free(pv->cells[i].text);
    }
    sluice_free(pv->names);
    sluice_free(pv->sink);
    sluice_free(pv->stream);
    pv->names = NULL;
    pv->sink = NULL;
    pv->stream = NULL;
    pv->columns = 0;
    pv->count = 0;
}

static int begin(struct preview *pv, const char *sink, const struct sluice_stream_desc *desc)
{
    pv->sink = sluice_alloc_string(sink);
    pv->stream = sluice_alloc_string(desc->name);
    pv->columns = (size_t)desc->schema->n_children;
    pv->names = sluice_alloc_zero(pv->columns + 1, sizeof *pv->names);
    int fine = pv->sink != NULL && pv->stream != NULL && pv->names != NULL;
    for (size_t i = 0; fine && i < pv->columns; i++) {
        const char *name = desc->schema->children[i]->name;
        pv->names[i] = sluice_alloc_string(name != NULL ? name : "");
        fine = pv->names[i] != NULL;
    }
    pv->streams++;
    return fine;
}

/* A table, if the columns are few and the terminal is wide enough for every row as it is. */
static int show_as_table(const struct preview *pv, struct sluice_str *out)
{
    struct sluice_cli_table table;
    struct sluice_cli_term plain = pv->cli->out;
    struct sluice_str text = SLUICE_STR_INIT;
    if (pv->columns == 0 || pv->columns > SLUICE_CLI_TABLE_COLUMNS) {
        return 0;
    }
    sluice_cli_table_init(&table, pv->columns, (const char *const *)pv->names, 0, 0);
    table.indent = 2;
    for (size_t i = 0; i < pv->count; i++) {
        sluice_cli_table_add(&table, pv->cells[i].style, pv->cells[i].text);
    }
    plain.width = 0;
    sluice_cli_table_render(&table, &plain, &text);
    sluice_cli_table_free(&table);
    int fits = 1;
    if (pv->cli->out.width > 0) {
        /* All rows are as wide as the first but for their last column. */
        char *line = text.data;
        while (fits && line != NULL && *line != '\0') {
            char *end = strchr(line, '\n');
            *end = '\0';
            fits = sluice_cli_text_width(line) <= pv->cli->out.width;
            *end = '\n';
            line = end + 1;
        }
    }
    if (fits) {
        sluice_str_append(out, sluice_str_text(&text));
    }
    sluice_str_free(&text);
    return fits;
}

static void show_as_records(const struct preview *pv, struct sluice_str *out)
{
    size_t rows = pv->columns > 0 ? pv->count / pv->columns : 0;
    for (size_t r = 0; r < rows; r++) {
        struct sluice_cli_table table;
        sluice_str_printf(out, "  row %zu\n", r + 1);
        sluice_cli_table_init(&table, 2, NULL, 0, 0x03);
        table.indent = 4;
        for (size_t c = 0; c < pv->columns; c++) {
            const struct sluice_cli_cell *cell = &pv->cells[r * pv->columns + c];
            sluice_cli_table_add(&table, SLUICE_STYLE_NAME, pv->names[c]);
            sluice_cli_table_add(&table, cell->style, cell->text);
        }
        sluice_cli_table_render(&table, &pv->cli->out, out);
        sluice_cli_table_free(&table);
    }
}

static void show(struct preview *pv)
{
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_str name = SLUICE_STR_INIT;
    if (pv->stream == NULL) {
        return;
    }
    if (pv->streams > 1) {
        sluice_str_append_char(&out, '\n');
    }
    sluice_cli_text_escape(&name, pv->stream);
    sluice_cli_term_append(&pv->cli->out, &out, SLUICE_STYLE_BOLD, sluice_str_text(&name));
    sluice_str_printf(&out, " -> %s\n", pv->sink);
    if (!show_as_table(pv, &out)) {
        show_as_records(pv, &out);
    }
    sluice_cli_out_always(pv->cli, &out);
    sluice_str_free(&name);
    sluice_str_free(&out);
    forget(pv);
}

static int keep_row(struct preview *pv, const struct sluice_view *views, int64_t row)
{
    for (size_t c = 0; c < pv->columns; c++) {
        struct sluice_str text = SLUICE_STR_INIT;
        if (!sluice_alloc_grow((void **)&pv->cells, &pv->cap, pv->count + 1, sizeof *pv->cells)) {
            return 0;
        }
        sluice_cli_cell_text(&views[c], row, VALUE_SHOWN, &text);
        pv->cells[pv->count].text = sluice_str_steal(&text);
        pv->cells[pv->count].style =
            sluice_view_is_null(&views[c], row) ? SLUICE_STYLE_DIM : SLUICE_STYLE_NONE;
        if (pv->cells[pv->count].text == NULL) {
            return 0;
        }
        pv->count++;
    }
    return 1;
}

/* {"sink":…,"stream":…,"row":{…}}, one a line. */
static void print_row(struct preview *pv, const char *sink, const struct sluice_stream_desc *desc,
                      const struct sluice_view *views, int64_t row)
{
    struct sluice_str line = SLUICE_STR_INIT;
    sluice_str_append(&line, "{\"sink\":");
    sluice_cli_cell_json_string(&line, sink, strlen(sink));
    sluice_str_append(&line, ",\"stream\":");
    sluice_cli_cell_json_string(&line, desc->name, strlen(desc->name));
    sluice_str_append(&line, ",\"row\":{");
    for (int64_t c = 0; c < desc->schema->n_children; c++) {
        const char *name = desc->schema->children[c]->name;
        name = name != NULL ? name : "";
        sluice_str_append(&line, c > 0 ? "," : "");
        sluice_cli_cell_json_string(&line, name, strlen(name));
        sluice_str_append_char(&line, ':');
        sluice_cli_cell_json(&views[c], row, &line);
    }
    sluice_str_append(&line, "}}\n");
    sluice_cli_out_always(pv->cli, &line);
    sluice_str_free(&line);
}

static sluice_status visit(void *ctx, const char *sink, const struct sluice_stream_desc *desc,
                           const struct sluice_batch *batch)
{
    struct preview *pv = ctx;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (batch->kind != SLUICE_BATCH_ROWS || desc->schema->n_children < 0) {
        return SLUICE_OK;
    }
    struct sluice_view *views =
        sluice_alloc_zero((size_t)desc->schema->n_children + 1, sizeof *views);
    sluice_status status = views == NULL
                               ? SLUICE_E_NOMEM
                               : sluice_views_init(desc->schema, &batch->array, views, &err);
    if (status >= 0 && !pv->cli->json &&
        (pv->stream == NULL || strcmp(pv->stream, desc->name) != 0 ||
         strcmp(pv->sink, sink) != 0)) {
        show(pv);
        status = begin(pv, sink, desc) ? SLUICE_OK : SLUICE_E_NOMEM;
    }
    for (uint64_t row = 0; status >= 0 && row < batch->rows; row++) {
        pv->rows++;
        if (pv->cli->json) {
            print_row(pv, sink, desc, views, (int64_t)row);
        }
        else if (!keep_row(pv, views, (int64_t)row)) {
            status = SLUICE_E_NOMEM;
        }
    }
    sluice_free(views);
    if (err.status < 0) {
        sluice_cli_warn(pv->cli, "%s: %s", desc->name, err.message);
    }
    return status;
}

int sluice_cli_preview(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    struct sluice_run_options options;
    struct preview pv = {.cli = cli};
    memset(&options, 0, sizeof options);
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    options.row_limit =
        (uint64_t)sluice_cli_args_number(&cli->args, SLUICE_OPT_LIMIT, ROWS_DEFAULT);
    options.tables = cli->args.tables.items;
    options.table_count = cli->args.tables.count;
    sluice_status status = sluice_flow_preview(pipeline, &options, &cli->cancel, visit, &pv, &err);
    show(&pv);
    if (status < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
    }
    else {
        if (pv.rows == 0) {
            sluice_cli_warn(cli, "%s: no rows", pipeline->name);
        }
        /* Rows are the answer: no envelope after them. */
        cli->json = 0;
    }
    forget(&pv);
    sluice_free(pv.cells);
    sluice_pipeline_free(pipeline);
    return code;
}
