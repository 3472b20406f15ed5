/*
 * Source lines: a delimited text file as one table. The first line names the columns, every other
 * line is a row; all columns are text, an empty field is NULL. No quoting: this is a template.
 *
 * One shard reads the whole file. The resume position is the byte offset of the next line, so a
 * reader can be closed and opened again at any batch.
 */
#define _POSIX_C_SOURCE 200809L /* getline, fseeko */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <sluice/array.h>
#include <sluice/build.h>
#include <sluice/log.h>
#include <sluice/option.h>
#include <sluice/plugin.h>
#include <sluice/position.h>
#include <sluice/text.h>

#define BATCH_ROWS 8192
#define BATCH_BYTES (8 << 20)
#define STREAM_ID 1
#define POSITION_FORMAT 1 /* first byte: a later version can tell old positions from its own */
#define POSITION_SIZE 9

struct options {
    const char *path;
    const char *delimiter;
};

struct sluice_source {
    const struct sluice_host *host; /* borrowed until destroy */
    struct options options;
    struct ArrowSchema schema; /* released until the file's head was read */
    const char *parts[1];
    char part[128];
    char name[264];
    struct sluice_stream_desc desc;
    uint64_t batch_rows;
    uint64_t row_limit; /* 0 = all */
    int chosen;         /* the plan has the stream */
};

struct sluice_reader {
    struct sluice_source *src;
    FILE *file;
    char *line; /* getline's */
    size_t line_cap;
    struct sluice_rows rows;
    uint64_t given;
    uint8_t position[POSITION_SIZE];
};

/* ------------------------------------------------------------ instance ----------------------- */

static void lines_destroy(struct sluice_source *src)
{
    if (src != NULL) {
        sluice_schema_release(&src->schema);
        free(src);
    }
}

static sluice_status lines_create(const struct sluice_host *host, struct sluice_source **out,
                                  struct sluice_error *err)
{
    static const struct sluice_option_binding bindings[] = {
        SLUICE_BIND(struct options, path, "path"),
        SLUICE_BIND(struct options, delimiter, "delimiter"),
        {NULL, 0}};
    struct sluice_source *src = calloc(1, sizeof *src);
    if (src == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source lines: out of memory");
    }
    src->host = host;
    sluice_status st = sluice_options_bind(host, bindings, &src->options, err);
    if (st >= 0 && strlen(src->options.delimiter) != 1) {
        st =
            sluice_error_set(err, SLUICE_E_INVALID, 0, "option delimiter: one character is wanted");
    }
    if (st < 0) {
        lines_destroy(src);
        return st;
    }
    *out = src;
    return SLUICE_OK;
}

/* Cuts the line end off; returns the length. */
static size_t chomp(char *line, ssize_t size)
{
    size_t n = (size_t)size;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) {
        n--;
    }
    line[n] = '\0';
    return n;
}

/* Makes the schema from the first line. */
static sluice_status make_schema(struct sluice_source *src, char *head, struct sluice_error *err)
{
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    int64_t n = 1;
    for (const char *p = head; *p != '\0'; p++) {
        n += *p == src->options.delimiter[0];
    }
    sluice_schema_release(&src->schema);
    SLUICE_TRY(sluice_schema_init(&src->schema, n, err));
    char *name = head;
    for (int64_t i = 0; i < n; i++) {
        char *end = strchr(name, src->options.delimiter[0]);
        if (end != NULL) {
            *end = '\0';
        }
        SLUICE_TRY(sluice_schema_set(&src->schema, i, name, &text, 1, NULL, 0, err));
        name = end != NULL ? end + 1 : name;
    }
    return SLUICE_OK;
}

/* Reads the head of the file and fills src->desc. */
static sluice_status describe(struct sluice_source *src, struct sluice_error *err)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *file = fopen(src->options.path, "rb");
    if (file == NULL) {
        return sluice_error_errno(err, errno, "file %s", src->options.path);
    }
    sluice_status st = SLUICE_OK;
    ssize_t size = getline(&line, &cap, file);
    if (size < 0) {
        st = sluice_error_set(err, SLUICE_E_DATA, 0, "file %s: empty, no line of column names",
                              src->options.path);
        goto out;
    }
    (void)chomp(line, size);
    st = make_schema(src, line, err);
    if (st < 0) {
        goto out;
    }
    /* The stream is named like the file, without folder and ending. */
    const char *base = strrchr(src->options.path, '/');
    base = base != NULL ? base + 1 : src->options.path;
    (void)snprintf(src->part, sizeof src->part, "%.*s", (int)strcspn(base, "."), base);
    src->parts[0] = src->part;
    (void)sluice_stream_name(src->parts, 1, src->name, sizeof src->name);
    src->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof src->desc,
        .kind = SLUICE_STREAM_TABLE,
        .stream_id = STREAM_ID,
        .schema_id = 1,
        .name = src->name,
        .part_count = 1,
        .parts = src->parts,
        .schema = &src->schema,
        .rows_estimate = -1,
        .bytes_estimate = -1,
    };
out:
    free(line);
    (void)fclose(file);
    return st;
}

static sluice_status lines_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                                 sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)plan;
    SLUICE_TRY(describe(src, err));
    struct sluice_finding finding = {
        (uint32_t)sizeof finding, SLUICE_FINDING_OK, src->options.path, "path", "readable", NULL};
    sluice_status st = visit(vctx, &finding);
    return st < 0 ? st : SLUICE_OK;
}

static void lines_cancel(struct sluice_source *src)
{
    (void)src; /* no call blocks for long; host->cancelled is looked at per batch */
}

static sluice_status lines_discover(struct sluice_source *src, sluice_stream_visit visit,
                                    void *vctx, struct sluice_error *err)
{
    SLUICE_TRY(describe(src, err));
    sluice_status st = visit(vctx, &src->desc, NULL);
    return st < 0 ? st : SLUICE_OK;
}

static sluice_status lines_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                                struct sluice_source_info *info, sluice_stream_visit visit,
                                void *vctx, struct sluice_error *err)
{
    (void)info;
    SLUICE_TRY(describe(src, err));
    src->chosen = 0;
    src->row_limit = plan->row_limit;
    src->batch_rows =
        plan->batch_rows > 0 && plan->batch_rows < BATCH_ROWS ? plan->batch_rows : BATCH_ROWS;
    for (uint32_t i = 0; i < plan->stream_count; i++) {
        const struct sluice_stream_select *select = plan->streams[i];
        struct sluice_stream_desc absent = {.struct_size = (uint32_t)sizeof absent,
                                            .name = select->name};
        struct sluice_error problem = SLUICE_ERROR_INIT;
        sluice_status st = SLUICE_OK;
        if (strcmp(select->name, src->name) != 0) {
            (void)sluice_error_set(&problem, SLUICE_E_NOT_FOUND, 0, "stream %s: the file is %s",
                                   select->name, src->name);
            st = visit(vctx, &absent, &problem);
        }
        else if (select->where != NULL || select->include_count + select->exclude_count > 0) {
            (void)sluice_error_set(&problem, SLUICE_E_UNSUPPORTED, 0,
                                   "stream %s: this source reads whole rows", select->name);
            st = visit(vctx, &absent, &problem);
        }
        else {
            src->chosen = 1;
            st = visit(vctx, &src->desc, NULL);
        }
        if (st != SLUICE_OK) {
            return st == SLUICE_END ? SLUICE_OK : st;
        }
    }
    return SLUICE_OK;
}

static sluice_status lines_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                                  struct sluice_error *err)
{
    static const uint64_t stream_ids[] = {STREAM_ID};
    struct sluice_shard_desc shard = {.struct_size = (uint32_t)sizeof shard,
                                      .kind = SLUICE_SHARD_SNAPSHOT,
                                      .stream_count = 1,
                                      .id = "lines",
                                      .stream_ids = stream_ids,
                                      .rows_estimate = -1,
                                      .bytes_estimate = -1};
    (void)err;
    sluice_status st = src->chosen ? visit(vctx, &shard) : SLUICE_OK;
    return st < 0 ? st : SLUICE_OK;
}

/* ------------------------------------------------------------ reader ------------------------- */

static void lines_reader_close(struct sluice_reader *rd)
{
    if (rd == NULL) {
        return;
    }
    if (rd->file != NULL) {
        (void)fclose(rd->file);
    }
    sluice_rows_free(&rd->rows);
    free(rd->line);
    free(rd);
}

static sluice_status lines_reader_open(struct sluice_source *src,
                                       const struct sluice_shard_desc *shard,
                                       struct sluice_bytes resume, struct sluice_reader **out,
                                       struct sluice_error *err)
{
    const uint8_t *position = resume.data;
    (void)shard;
    if (resume.size > 0 && (resume.size != POSITION_SIZE || position[0] != POSITION_FORMAT)) {
        return sluice_error_set(err, SLUICE_E_POSITION_LOST, 0,
                                "file %s: the resume position is not one of this source",
                                src->options.path);
    }
    struct sluice_reader *rd = calloc(1, sizeof *rd);
    if (rd == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "source lines: out of memory");
    }
    rd->src = src;
    sluice_status st = sluice_rows_init(&rd->rows, &src->schema, (int64_t)src->batch_rows, err);
    if (st >= 0) {
        rd->file = fopen(src->options.path, "rb");
        if (rd->file == NULL) {
            st = sluice_error_errno(err, errno, "file %s", src->options.path);
        }
    }
    if (st >= 0 && resume.size > 0 &&
        fseeko(rd->file, (off_t)sluice_get_be64(position + 1), SEEK_SET) != 0) {
        st = sluice_error_errno(err, errno, "file %s", src->options.path);
    }
    if (st >= 0 && resume.size == 0) {
        (void)getline(&rd->line, &rd->line_cap, rd->file); /* the names */
    }
    if (st < 0) {
        lines_reader_close(rd);
        return st;
    }
    *out = rd;
    return SLUICE_OK;
}

/* One line into the builder: exactly one append per column. */
static sluice_status put_line(struct sluice_reader *rd, char *line, struct sluice_error *err)
{
    char delimiter = rd->src->options.delimiter[0];
    char *field = line;
    for (int64_t i = 0; i < rd->rows.column_count; i++) {
        char *end = field != NULL ? strchr(field, delimiter) : NULL;
        size_t size = field == NULL ? 0 : end != NULL ? (size_t)(end - field) : strlen(field);
        if (size == 0) {
            SLUICE_TRY(sluice_column_put_null(&rd->rows.columns[i], err));
        }
        else {
            SLUICE_TRY(sluice_column_put_bytes(&rd->rows.columns[i], field, size, err));
        }
        field = end != NULL ? end + 1 : NULL;
    }
    sluice_rows_end_row(&rd->rows);
    return SLUICE_OK;
}

/* Collects lines until the batch is full or the file ends. */
static sluice_status fill(struct sluice_reader *rd, struct sluice_error *err)
{
    const struct sluice_source *src = rd->src;
    while (rd->rows.rows < (int64_t)src->batch_rows && sluice_rows_bytes(&rd->rows) < BATCH_BYTES &&
           (src->row_limit == 0 || rd->given + (uint64_t)rd->rows.rows < src->row_limit)) {
        ssize_t size = getline(&rd->line, &rd->line_cap, rd->file);
        if (size < 0) {
            break;
        }
        size_t length = chomp(rd->line, size);
        sluice_status st = SLUICE_OK;
        if (strlen(rd->line) != length ||
            sluice_utf8_check((const uint8_t *)rd->line, length) != length) {
            st = sluice_error_set(err, SLUICE_E_DATA, 0, "row %llu is not UTF-8 text",
                                  (unsigned long long)rd->given + (uint64_t)rd->rows.rows + 1);
        }
        else {
            st = put_line(rd, rd->line, err);
        }
        if (st < 0) {
            sluice_rows_rollback(&rd->rows); /* the half row; whole ones stay */
            return sluice_error_wrap(err, "file %s", src->options.path);
        }
    }
    if (ferror(rd->file)) {
        return sluice_error_errno(err, errno, "file %s", src->options.path);
    }
    return SLUICE_OK;
}

static sluice_status lines_reader_next(struct sluice_reader *rd, int64_t timeout_us,
                                       struct sluice_batch *out, struct sluice_error *err)
{
    const struct sluice_host *host = rd->src->host;
    (void)timeout_us; /* a file never makes us wait */
    if (host->cancelled(host->ctx)) {
        return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "source lines: cancelled");
    }
    SLUICE_TRY(fill(rd, err));
    if (rd->rows.rows == 0) {
        return SLUICE_END;
    }
    uint64_t rows = (uint64_t)rd->rows.rows;
    uint64_t bytes = (uint64_t)sluice_rows_bytes(&rd->rows);
    struct ArrowArray array;
    SLUICE_TRY(sluice_rows_finish(&rd->rows, &array, err));
    rd->given += rows;
    rd->position[0] = POSITION_FORMAT;
    sluice_put_be64(rd->position + 1, (uint64_t)ftello(rd->file));
    *out = (struct sluice_batch){
        .struct_size = out->struct_size,
        .kind = SLUICE_BATCH_ROWS,
        .flags = SLUICE_BATCH_COMMIT_BOUNDARY, /* one may resume after this batch */
        .stream_id = STREAM_ID,
        .schema_id = 1,
        .rows = rows,
        .bytes = bytes,
        .source_time_us = host->now_us(host->ctx, SLUICE_CLOCK_WALL),
        .position = {rd->position, POSITION_SIZE},
        .array = array,
    };
    return SLUICE_OK;
}

/* ------------------------------------------------------------ descriptor --------------------- */

static const struct sluice_source_api api = {
    .struct_size = (uint32_t)sizeof api,
    .create = lines_create,
    .destroy = lines_destroy,
    .check = lines_check,
    .cancel = lines_cancel,
    .discover = lines_discover,
    .open = lines_open,
    .shards = lines_shards,
    .reader_open = lines_reader_open,
    .reader_next = lines_reader_next,
    .reader_close = lines_reader_close,
};

static const struct sluice_option o_path =
    SLUICE_OPT(SLUICE_OPTION_STRING, "path", NULL, SLUICE_OPTION_REQUIRED, "The file to read.");
static const struct sluice_option o_delimiter =
    SLUICE_OPT(SLUICE_OPTION_STRING, "delimiter", ",", 0, "The character between two fields.");
static const struct sluice_option *const options[] = {&o_path, &o_delimiter, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = "lines",
    .summary = "Reads a delimited text file",
    .options = options,
    .source = &api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "lines",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
