/* The edges of a pipeline: inputs, cycles, order, and what the mode asks of the nodes. */
#include <string.h>

#include "base/alloc.h"
#include "config/loader.h"

struct graph {
    struct sluice_loader *ld;
    struct sluice_pipeline_node *nodes;
    size_t count;
    uint8_t used[SLUICE_LIMIT_NODES];    /* some node takes it as input */
    uint8_t done[SLUICE_LIMIT_NODES];    /* stands in the order */
    size_t order[SLUICE_LIMIT_NODES];    /* indexes of nodes, inputs first */
    size_t position[SLUICE_LIMIT_NODES]; /* the other way round */
    size_t ordered;
    int dangling; /* an input was reported: what is unused may have been meant */
};

static struct sluice_yaml at_node(const struct sluice_pipeline_node *node)
{
    struct sluice_yaml at;
    memset(&at, 0, sizeof at);
    at.line = node->line;
    at.column = node->column;
    return at;
}

static size_t push_node(struct sluice_loader *ld, const struct sluice_pipeline_node *node)
{
    size_t mark = sluice_path_push(&ld->path, node->kind == SLUICE_SOURCE ? "sources"
                                              : node->kind == SLUICE_SINK ? "sinks"
                                                                          : "transforms");
    (void)sluice_path_push(&ld->path, node->id);
    return mark;
}

static size_t find_node(const struct graph *g, const char *id)
{
    for (size_t i = 0; i < g->count; i++) {
        if (strcmp(g->nodes[i].id, id) == 0) {
            return i;
        }
    }
    return g->count;
}

static void report_dangling(struct graph *g, const struct sluice_yaml *item)
{
    const char *ids[SLUICE_LIMIT_NODES];
    size_t count = 0;
    struct sluice_str hint = SLUICE_STR_INIT;
    struct sluice_shown shown = sluice_show(item->text, item->secret);
    for (size_t i = 0; i < g->count; i++) {
        if (g->nodes[i].kind != SLUICE_SINK) {
            ids[count++] = g->nodes[i].id;
        }
    }
    const char *near = item->secret ? NULL : sluice_did_you_mean(item->text, ids, count);
    if (near != NULL) {
        sluice_str_printf(&hint, "did you mean %s?", near);
    }
    else {
        enum { LISTED_MAX = 12 };
        sluice_str_append(&hint, "there are: ");
        for (size_t i = 0; i < count && i < LISTED_MAX; i++) {
            sluice_str_printf(&hint, "%s%s", i > 0 ? ", " : "", ids[i]);
        }
        sluice_str_append(&hint, count > LISTED_MAX ? ", …" : "");
    }
    sluice_load_error(g->ld, item, count > 0 ? sluice_str_text(&hint) : NULL,
                      "no source or transform is called %s",
                      shown.text[0] != '\0' ? shown.text : "so");
    sluice_str_free(&hint);
}

static void resolve_input(struct graph *g, size_t index, const struct sluice_yaml *item)
{
    struct sluice_pipeline_node *node = &g->nodes[index];
    if (item->kind != SLUICE_YAML_SCALAR || item->broken || sluice_yaml_is_null(item)) {
        return; /* was reported */
    }
    size_t from = find_node(g, item->text);
    if (from == g->count) {
        g->dangling = 1;
        report_dangling(g, item);
        return;
    }
    if (g->nodes[from].kind == SLUICE_SINK) {
        sluice_load_error(g->ld, item, "inputs are sources and transforms",
                          "\"%s\" is a sink: nothing comes out of it", g->nodes[from].id);
        return;
    }
    for (size_t i = 0; i < node->input_count; i++) {
        if (node->inputs[i] == from) {
            sluice_load_error(g->ld, item, NULL, "input \"%s\" is given twice", g->nodes[from].id);
            return;
        }
    }
    node->inputs[node->input_count++] = from;
    g->used[from] = 1;
}

static void resolve_inputs(struct graph *g, size_t index)
{
    struct sluice_loader *ld = g->ld;
    const struct sluice_yaml *list = ld->inputs[index];
    if (sluice_yaml_is_null(list) || list->kind == SLUICE_YAML_MAPPING) {
        return;
    }
    size_t count = list->kind == SLUICE_YAML_SEQUENCE ? list->count : 1;
    g->nodes[index].inputs = (size_t *)sluice_alloc_zero(count, sizeof(size_t));
    if (g->nodes[index].inputs == NULL) {
        ld->no_memory = 1;
        return;
    }
    size_t mark = push_node(ld, &g->nodes[index]);
    (void)sluice_path_push(&ld->path, "inputs");
    for (size_t i = 0; i < count; i++) {
        size_t inner = ld->path.size;
        if (list->kind == SLUICE_YAML_SEQUENCE) {
            (void)sluice_path_push_index(&ld->path, i);
        }
        resolve_input(g, index, list->kind == SLUICE_YAML_SEQUENCE ? list->items[i] : list);
        sluice_path_pop(&ld->path, inner);
    }
    sluice_path_pop(&ld->path, mark);
}

static int is_ready(const struct graph *g, const struct sluice_pipeline_node *node)
{
    for (size_t i = 0; i < node->input_count; i++) {
        if (!g->done[node->inputs[i]]) {
            return 0;
        }
    }
    return 1;
}

static void put_in_order(struct graph *g, size_t index)
{
    g->done[index] = 1;
    g->position[index] = g->ordered;
    g->order[g->ordered++] = index;
}

/* Every node that is left waits for another that is left: going back from any of them runs into a
 * circle. Reports that and puts its nodes in the order, so that the search can go on. */
static void report_cycle(struct graph *g)
{
    size_t trail[SLUICE_LIMIT_NODES + 1];
    size_t size = 0;
    size_t at = 0;
    uint8_t seen[SLUICE_LIMIT_NODES] = {0};
    while (g->done[at]) {
        at++;
    }
    while (!seen[at]) {
        const struct sluice_pipeline_node *node = &g->nodes[at];
        size_t i = 0;
        seen[at] = 1;
        trail[size++] = at;
        while (g->done[node->inputs[i]]) {
            i++;
        }
        at = node->inputs[i];
    }
    size_t first = 0;
    while (trail[first] != at) {
        first++;
    }
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_append(&text, g->nodes[at].id);
    for (size_t i = size; i > first; i--) {
        sluice_str_printf(&text, " -> %s", g->nodes[trail[i - 1]].id);
    }
    const struct sluice_yaml *inputs = g->ld->inputs[at];
    size_t mark = push_node(g->ld, &g->nodes[at]);
    (void)sluice_path_push(&g->ld->path, "inputs");
    sluice_load_error(g->ld, inputs, NULL, "the inputs form a circle: %s", sluice_str_text(&text));
    sluice_path_pop(&g->ld->path, mark);
    sluice_str_free(&text);
    for (size_t i = first; i < size; i++) {
        put_in_order(g, trail[i]);
    }
}

static void find_order(struct graph *g)
{
    while (g->ordered < g->count) {
        size_t before = g->ordered;
        for (size_t i = 0; i < g->count; i++) {
            if (!g->done[i] && is_ready(g, &g->nodes[i])) {
                put_in_order(g, i);
            }
        }
        if (g->ordered == before) {
            report_cycle(g);
        }
    }
}

static void apply_order(struct graph *g)
{
    struct sluice_pipeline *p = g->ld->p;
    struct sluice_pipeline_node *sorted =
        (struct sluice_pipeline_node *)sluice_alloc_zero(g->count, sizeof *sorted);
    if (sorted == NULL) {
        g->ld->no_memory = 1;
        return;
    }
    for (size_t i = 0; i < g->count; i++) {
        sorted[i] = g->nodes[g->order[i]];
        for (size_t k = 0; k < sorted[i].input_count; k++) {
            sorted[i].inputs[k] = g->position[sorted[i].inputs[k]];
        }
    }
    sluice_free(p->nodes);
    p->nodes = sorted;
    g->nodes = sorted;
}

static void warn_unused(struct graph *g)
{
    for (size_t i = 0; i < g->count && !g->dangling; i++) {
        const struct sluice_pipeline_node *node = &g->nodes[i];
        if (node->kind == SLUICE_SINK || g->used[i] || find_node(g, node->id) != i) {
            continue;
        }
        size_t mark = push_node(g->ld, node);
        sluice_diags_add(
            g->ld->diags, SLUICE_DIAG_WARN, node->line, node->column, sluice_str_text(&g->ld->path),
            "name it in the inputs of a transform or sink, or remove it",
            "nothing takes the rows of %s \"%s\"", sluice_kind_name(node->kind), node->id);
        sluice_path_pop(&g->ld->path, mark);
    }
}

/* What each kind must be able to do; 0 = nothing is asked. */
static uint64_t wanted_caps(int32_t kind, int changes)
{
    switch (kind) {
    case SLUICE_SOURCE:
        return changes ? SLUICE_SOURCE_CHANGES : SLUICE_SOURCE_LOAD;
    case SLUICE_SINK:
        return changes ? SLUICE_SINK_CHANGES : SLUICE_SINK_LOAD;
    default:
        return changes ? SLUICE_TRANSFORM_CHANGES : 0;
    }
}

static void check_mode(struct graph *g, const struct sluice_yaml *root)
{
    static const char *const verbs[2][2] = {{"do a full load", "take a full load"},
                                            {"deliver changes", "take changes"}};
    const struct sluice_yaml *mode = sluice_yaml_get(root, "mode");
    int32_t m = g->ld->p->mode;
    for (size_t i = 0; i < g->count && m != 0; i++) {
        const struct sluice_pipeline_node *node = &g->nodes[i];
        if (node->component == NULL) {
            continue;
        }
        for (int changes = 0; changes < 2; changes++) {
            int asked = changes ? m != SLUICE_MODE_FULL_LOAD_ONLY : m != SLUICE_MODE_CDC_ONLY;
            uint64_t wanted = wanted_caps(node->kind, changes);
            if (!asked || (node->component->caps & wanted) == wanted) {
                continue;
            }
            struct sluice_yaml at = at_node(node);
            size_t mark = push_node(g->ld, node);
            sluice_load_error(g->ld, &at, changes ? "use mode: full_load_only" : NULL,
                              "%s %s cannot %s, which mode %s needs", sluice_kind_name(node->kind),
                              node->plugin, verbs[changes][node->kind != SLUICE_SOURCE],
                              mode->text);
            sluice_path_pop(&g->ld->path, mark);
        }
    }
}

/* Rows that a condition leaves out of the load would come back with their first change. */
static void warn_where(struct graph *g)
{
    int32_t m = g->ld->p->mode;
    for (size_t i = 0; i < g->count && m != 0 && m != SLUICE_MODE_FULL_LOAD_ONLY; i++) {
        const struct sluice_pipeline_node *node = &g->nodes[i];
        size_t found = 0;
        for (size_t r = 0; r < node->tables.rule_count; r++) {
            const char *where = node->tables.rules[r].where;
            found += where != NULL && where[0] != '\0';
        }
        if (found == 0) {
            continue;
        }
        size_t mark = push_node(g->ld, node);
        (void)sluice_path_push(&g->ld->path, "tables");
        sluice_diags_add(g->ld->diags, SLUICE_DIAG_WARN, node->line, node->column,
                         sluice_str_text(&g->ld->path),
                         "filter at the source, as PostgreSQL does with the row filter of a"
                         " publication, which holds for both",
                         m == SLUICE_MODE_CDC_ONLY
                             ? "where is for full loads: changes of all rows are followed"
                             : "where holds for the full load alone: changes of all rows follow");
        sluice_path_pop(&g->ld->path, mark);
    }
}

void sluice_load_graph(struct sluice_loader *ld, const struct sluice_yaml *root)
{
    struct graph g;
    memset(&g, 0, sizeof g);
    g.ld = ld;
    g.nodes = ld->p->nodes;
    g.count = ld->p->node_count;
    for (size_t i = 0; i < g.count && !ld->no_memory; i++) {
        if (g.nodes[i].id == NULL) {
            return;
        }
        resolve_inputs(&g, i);
    }
    if (ld->no_memory || g.count == 0) {
        return;
    }
    warn_unused(&g);
    check_mode(&g, root);
    warn_where(&g);
    find_order(&g);
    apply_order(&g);
}
