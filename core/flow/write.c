#include "flow/write.h"

#include <string.h>

#include "base/alloc.h"
#include "base/str.h"

int sluice_flow_writes_tables(const struct sluice_pipeline_node *sink)
{
    return sink->component != NULL && (sink->component->caps & SLUICE_SINK_TABLES) != 0;
}

int32_t sluice_flow_schema_policy(const struct sluice_pipeline *pipeline,
                                  const struct sluice_pipeline_node *source, const char *stream)
{
    struct sluice_table_rule rule = {0};
    if (source != NULL) {
        sluice_tables_rule(&source->tables, stream, &rule);
    }
    return rule.schema != 0        ? rule.schema
           : pipeline->schema != 0 ? pipeline->schema
                                   : SLUICE_SCHEMA_EVOLVE;
}

static const struct sluice_pipeline_node *find_node(const struct sluice_pipeline *pipeline,
                                                    const char *id)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        if (strcmp(pipeline->nodes[i].id, id) == 0) {
            return &pipeline->nodes[i];
        }
    }
    return NULL;
}

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for a route");
}

static sluice_status no_column(const struct sluice_pipeline_node *sink,
                               const struct sluice_stream_desc *desc, const char *column,
                               struct sluice_error *err)
{
    struct sluice_str have = SLUICE_STR_INIT;
    for (int64_t i = 0; i < desc->schema->n_children && have.size < 400; i++) {
        sluice_str_printf(&have, "%s%s", i > 0 ? ", " : "", desc->schema->children[i]->name);
    }
    sluice_status status = sluice_error_set(
        err, SLUICE_E_INVALID, 0,
        "sink %s: write.key names column %s, which stream %s does not have (hint: it has %.400s)",
        sink->id, column, desc->name, sluice_str_text(&have));
    sluice_str_free(&have);
    return status;
}

/* The columns that rows are found by. */
static sluice_status make_keys(const struct sluice_pipeline_node *sink,
                               const struct sluice_write_rule *rule,
                               const struct sluice_stream_desc *desc, struct sluice_flow_write *out,
                               struct sluice_error *err)
{
    uint32_t count = rule->key == SLUICE_KEY_SOURCE    ? desc->key_count
                     : rule->key == SLUICE_KEY_COLUMNS ? (uint32_t)rule->key_count
                                                       : 0;
    if (rule->mode == SLUICE_WRITE_HISTORY) {
        count = 0; /* each change is a row of its own */
    }
    out->keys = sluice_alloc_zero(count + 1u, sizeof *out->keys);
    if (out->keys == NULL) {
        return nomem(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (rule->key == SLUICE_KEY_SOURCE) {
            out->keys[i] = desc->keys[i];
            continue;
        }
        int64_t k = 0;
        while (k < desc->schema->n_children &&
               strcmp(desc->schema->children[k]->name, rule->key_columns[i]) != 0) {
            k++;
        }
        if (k == desc->schema->n_children) {
            return no_column(sink, desc, rule->key_columns[i], err);
        }
        out->keys[i] = (uint32_t)k;
    }
    out->write.keys = out->keys;
    out->write.key_count = count;
    return SLUICE_OK;
}

/* Appends `pattern` up to `end` with its words replaced. */
static void expand(const char *pattern, const char *end, const char *const words[4][2],
                   struct sluice_str *out)
{
    for (const char *p = pattern; p < end;) {
        size_t size = 0;
        for (size_t i = 0; i < 4 && size == 0; i++) {
            if (strncmp(p, words[i][0], strlen(words[i][0])) == 0) {
                size = strlen(words[i][0]);
                sluice_str_append(out, words[i][1]);
            }
        }
        if (size == 0) {
            sluice_str_append_n(out, p, 1);
            size = 1;
        }
        p += size;
    }
}

static void change_case(char *name, int32_t letters)
{
    for (char *p = name; *p != '\0'; p++) {
        if (letters == SLUICE_CASE_LOWER && *p >= 'A' && *p <= 'Z') {
            *p = (char)(*p - 'A' + 'a');
        }
        else if (letters == SLUICE_CASE_UPPER && *p >= 'a' && *p <= 'z') {
            *p = (char)(*p - 'a' + 'A');
        }
    }
}

static sluice_status make_target(const struct sluice_pipeline *pipeline,
                                 const struct sluice_route_rule *rule, const char *source,
                                 const struct sluice_stream_desc *desc,
                                 struct sluice_flow_write *out, struct sluice_error *err)
{
    uint32_t n = desc->part_count;
    const char *const words[4][2] = {{"{schema}", n > 1 ? desc->parts[n - 2] : ""},
                                     {"{table}", n > 0 ? desc->parts[n - 1] : desc->name},
                                     {"{source}", source},
                                     {"{pipeline}", pipeline->name}};
    const char *dot = strchr(rule->to, '.');
    struct sluice_str text = SLUICE_STR_INIT;
    uint32_t count = 0;
    if (dot != NULL) {
        expand(rule->to, dot, words, &text);
        if (text.size > 0) { /* a stream without schema goes where the sink puts such */
            out->target[count++] = sluice_alloc_string(sluice_str_text(&text));
        }
        sluice_str_free(&text);
        text = (struct sluice_str)SLUICE_STR_INIT;
    }
    sluice_str_append(&text, rule->prefix);
    expand(dot != NULL ? dot + 1 : rule->to, rule->to + strlen(rule->to), words, &text);
    sluice_str_append(&text, rule->suffix);
    out->target[count++] = text.failed ? NULL : sluice_alloc_string(sluice_str_text(&text));
    sluice_str_free(&text);
    for (uint32_t i = 0; i < count; i++) {
        if (out->target[i] == NULL) {
            return nomem(err);
        }
        change_case(out->target[i], rule->letters);
    }
    out->write.target = (const char *const *)out->target;
    out->write.target_count = count;
    return SLUICE_OK;
}

sluice_status sluice_flow_write_make(const struct sluice_pipeline *pipeline,
                                     const struct sluice_pipeline_node *sink, const char *source,
                                     const struct sluice_stream_desc *desc,
                                     struct sluice_flow_write *out, struct sluice_error *err)
{
    struct sluice_write_rule write;
    struct sluice_route_rule route;
    *out = (struct sluice_flow_write){0};
    sluice_write_fold(sink, desc->name, &write);
    sluice_route_fold(sink, desc->name, &route);
    int32_t policy = sluice_flow_schema_policy(pipeline, find_node(pipeline, source), desc->name);
    const uint32_t history = SLUICE_META_OP | SLUICE_META_COMMIT_TS | SLUICE_META_POSITION |
                             SLUICE_META_SEQ | SLUICE_META_UNCHANGED;
    out->write = (struct sluice_write){
        .struct_size = sizeof out->write,
        .flags = (route.merge == 2 ? SLUICE_WRITE_MERGE : 0u) |
                 (route.long_names == SLUICE_LONG_NAMES_HASH ? SLUICE_WRITE_HASH_NAMES : 0u) |
                 (policy != SLUICE_SCHEMA_EVOLVE ? SLUICE_WRITE_FROZEN : 0u),
        .mode = write.mode,
        .deletes = write.deletes,
        .duplicates = write.duplicates,
        .metadata = write.metadata | (write.mode == SLUICE_WRITE_HISTORY ? history : 0u),
        .soft_column = write.soft_column,
        .metadata_prefix = write.metadata_prefix};
    SLUICE_TRY(make_keys(sink, &write, desc, out, err));
    return make_target(pipeline, &route, source, desc, out, err);
}

void sluice_flow_write_free(struct sluice_flow_write *write)
{
    sluice_free(write->keys);
    sluice_free(write->target[0]);
    sluice_free(write->target[1]);
    *write = (struct sluice_flow_write){0};
}
