#include "flow/columns.h"

#include <string.h>

#include "base/alloc.h"
#include "sluice/array.h"
#include "sluice/remap.h"
#include "sluice/schema.h"

static sluice_status nomem(struct sluice_error *err)
{
    return sluice_error_set(err, SLUICE_E_NOMEM, SLUICE_ERROR_FATAL, "out of memory for columns");
}

static int listed(char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return 1;
        }
    }
    return 0;
}

static int is_delivered(const struct sluice_pipeline *pipeline,
                        const struct sluice_table_rule *rule, const struct ArrowSchema *field)
{
    if (pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY &&
        sluice_schema_metadata_is(field, "sluice:changes", "not sent")) {
        return 0;
    }
    return (rule->include_count == 0 ||
            listed(rule->include_columns, rule->include_count, field->name)) &&
           !listed(rule->exclude_columns, rule->exclude_count, field->name);
}

sluice_status sluice_flow_columns_choose(const struct sluice_pipeline *pipeline,
                                         const struct sluice_pipeline_node *source,
                                         const struct sluice_stream_desc *desc,
                                         struct sluice_stream_desc **out, struct sluice_error *err)
{
    const int64_t n = desc->schema->n_children;
    struct sluice_remap_column *columns = sluice_alloc_zero((size_t)n + 1, sizeof *columns);
    struct sluice_table_rule rule = {0};
    struct ArrowSchema schema = {0};
    struct sluice_remap *remap = NULL;
    int64_t count = 0;
    if (columns == NULL) {
        return nomem(err);
    }
    sluice_tables_rule(&source->tables, desc->name, &rule);
    for (int64_t i = 0; i < n; i++) {
        if (is_delivered(pipeline, &rule, desc->schema->children[i])) {
            columns[count++].source = i;
        }
    }
    sluice_status status = sluice_schema_init(&schema, count, err);
    for (int64_t i = 0; i < count && status >= 0; i++) {
        status =
            sluice_schema_put(&schema, i, desc->schema->children[columns[i].source], NULL, -1, err);
    }
    if (status >= 0) {
        status = sluice_remap_create(desc, columns, count, &schema, &remap, err);
    }
    if (status >= 0) {
        *out = sluice_stream_desc_copy(sluice_remap_desc(remap));
        status = *out != NULL ? SLUICE_OK : nomem(err);
    }
    sluice_remap_free(remap);
    sluice_schema_release(&schema);
    sluice_free(columns);
    return status;
}
