/* Which columns come out of a stream, under which names, in which order. */
#include <stdlib.h>

#include "project.h"

#define PROPERTY_PREFIX "property:"
#define PROPERTY_PREFIX_SIZE (sizeof PROPERTY_PREFIX - 1)

static const char *const metadata_words[] = {"stream", "schema", "table", "load_time",
                                             "load_position"};

int32_t project_covers(const struct sluice_transform *xf, const char *stream)
{
    for (uint32_t i = 0; i < xf->options.tables.count; i++) {
        if (sluice_pattern_match(xf->options.tables.items[i], stream)) {
            return 1;
        }
    }
    return xf->options.tables.count == 0;
}

sluice_status project_check_metadata(const struct sluice_option_map *metadata,
                                     struct sluice_error *err)
{
    for (uint32_t i = 0; i < metadata->count; i++) {
        const char *what = metadata->pairs[i].value;
        int known = strncmp(what, PROPERTY_PREFIX, PROPERTY_PREFIX_SIZE) == 0 &&
                    what[PROPERTY_PREFIX_SIZE] != '\0';
        for (size_t k = 0; k < sizeof metadata_words / sizeof metadata_words[0]; k++) {
            known = known || strcmp(what, metadata_words[k]) == 0;
        }
        if (!known) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "option metadata, column %s: \"%s\" is not known; use stream, "
                                    "schema, table, load_time, load_position or property:NAME",
                                    metadata->pairs[i].key, what);
        }
    }
    return SLUICE_OK;
}

/* Number of the last pattern that matches, or -1; all that match are marked. */
static int64_t match(struct project_patterns *patterns, const char *stream, const char *column)
{
    int64_t found = -1;
    for (uint32_t i = 0; i < patterns->count; i++) {
        if (sluice_column_pattern_table(&patterns->items[i], stream) &&
            sluice_column_pattern_column(&patterns->items[i], column)) {
            patterns->hit[i] = 1;
            found = i;
        }
    }
    return found;
}

static void set_metadata(struct project_column *c, const char *what,
                         const struct sluice_stream_desc *in)
{
    c->kind = PROJECT_TEXT;
    if (strcmp(what, "stream") == 0) {
        c->text = in->name;
    }
    else if (strcmp(what, "schema") == 0) {
        c->text = in->part_count > 1 ? in->parts[in->part_count - 2] : NULL;
    }
    else if (strcmp(what, "table") == 0) {
        c->text = in->part_count > 0 ? in->parts[in->part_count - 1] : in->name;
    }
    else if (strcmp(what, "load_position") == 0) {
        c->text = in->load_position_text;
    }
    else if (strcmp(what, "load_time") == 0) {
        c->kind = PROJECT_LOAD_TIME;
    }
    else {
        for (uint32_t i = 0; i < in->property_count; i++) {
            if (strcmp(in->properties[i].key, what + PROPERTY_PREFIX_SIZE) == 0) {
                c->text = in->properties[i].value;
            }
        }
    }
}

/* 1 if option include says anything about this table. */
static int includes_some(const struct project_patterns *include, const char *stream)
{
    for (uint32_t i = 0; i < include->count; i++) {
        if (sluice_column_pattern_table(&include->items[i], stream)) {
            return 1;
        }
    }
    return 0;
}

/* The columns in their first order: those of the source that stay, constants, metadata. */
static void collect(struct sluice_transform *xf, struct project_stream *s)
{
    const struct sluice_stream_desc *in = s->in;
    const struct project_options *o = &xf->options;
    int chosen = includes_some(&xf->include, in->name);
    for (int64_t i = 0; i < in->schema->n_children; i++) {
        const char *name = in->schema->children[i]->name;
        int64_t renamed = match(&xf->rename, in->name, name);
        int64_t included = match(&xf->include, in->name, name);
        int64_t excluded = match(&xf->exclude, in->name, name);
        if ((chosen && included < 0) || excluded >= 0) {
            continue;
        }
        struct project_column *c = &s->columns[s->count++];
        c->source = i;
        c->kind = PROJECT_COLUMN;
        c->name = renamed >= 0 ? o->rename.pairs[renamed].value : name;
    }
    for (uint32_t i = 0; i < o->constants.count; i++) {
        struct project_column *c = &s->columns[s->count++];
        c->source = -1;
        c->kind = PROJECT_TEXT;
        c->name = o->constants.pairs[i].key;
        c->text = o->constants.pairs[i].value;
    }
    for (uint32_t i = 0; i < o->metadata.count; i++) {
        struct project_column *c = &s->columns[s->count++];
        c->source = -1;
        c->name = o->metadata.pairs[i].key;
        set_metadata(c, o->metadata.pairs[i].value, in);
    }
}

/* Moves the columns of option `order` to the front, in its order. */
static void reorder(struct sluice_transform *xf, struct project_stream *s)
{
    int64_t done = 0;
    for (uint32_t k = 0; k < xf->options.order.count; k++) {
        for (int64_t i = 0; i < s->count; i++) {
            if (strcmp(s->columns[i].name, xf->options.order.items[k]) != 0) {
                continue;
            }
            xf->order_hit[k] = 1;
            if (i >= done) {
                struct project_column c = s->columns[i];
                memmove(&s->columns[done + 1], &s->columns[done],
                        (size_t)(i - done) * sizeof *s->columns);
                s->columns[done++] = c;
            }
            break;
        }
    }
}

static sluice_status check_names(const struct project_stream *s, struct sluice_error *err)
{
    if (s->count == 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0, "stream %s: no column is left",
                                s->in->name);
    }
    for (int64_t i = 0; i < s->count; i++) {
        if (s->columns[i].name[0] == '\0') {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "stream %s: a column would have an empty name", s->in->name);
        }
        for (int64_t k = 0; k < i; k++) {
            if (strcmp(s->columns[i].name, s->columns[k].name) == 0) {
                return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                        "stream %s: two columns would be named %s", s->in->name,
                                        s->columns[i].name);
            }
        }
    }
    return SLUICE_OK;
}

sluice_status project_choose(struct sluice_transform *xf, struct project_stream *s,
                             struct sluice_error *err)
{
    int64_t room = s->in->schema->n_children + (int64_t)xf->options.constants.count +
                   (int64_t)xf->options.metadata.count;
    s->columns = calloc((size_t)room + 1, sizeof *s->columns);
    if (s->columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "transform project: out of memory");
    }
    collect(xf, s);
    SLUICE_TRY(check_names(s, err));
    reorder(xf, s);
    for (uint32_t k = 0; k < s->in->key_count && !xf->options.drop_keys; k++) {
        int kept = 0;
        for (int64_t i = 0; i < s->count; i++) {
            kept = kept || s->columns[i].source == (int64_t)s->in->keys[k];
        }
        s->lost_key = s->lost_key || !kept;
    }
    return SLUICE_OK;
}
