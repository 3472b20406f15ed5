/* --set a.b=c: assignments from the command line. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/internal.h"

/* One step of the path: a key, or an index of a list. */
struct step {
    char *key;
    int64_t index; /* -1 = a key */
};

struct steps {
    struct step items[SLUICE_LIMIT_YAML_DEPTH];
    size_t count;
};

static void steps_free(struct steps *steps)
{
    for (size_t i = 0; i < steps->count; i++) {
        sluice_free(steps->items[i].key);
    }
}

static const char *add_step(struct steps *steps, const char *text, size_t size, int64_t index)
{
    /* The value may bring some depth of its own. */
    if (steps->count == SLUICE_LIMIT_YAML_DEPTH / 2) {
        return "the path has too many steps";
    }
    char *key = sluice_alloc_string_n(text, size);
    if (key == NULL) {
        return "out of memory";
    }
    steps->items[steps->count].key = key;
    steps->items[steps->count].index = index;
    steps->count++;
    return NULL;
}

/* `[3]` or `["a.b"]` at *at. */
static const char *read_bracket(const char **at, const char *end, struct steps *steps)
{
    const char *p = *at + 1;
    const char *wrong = NULL;
    if (p < end && *p == '"') {
        const char *close = (const char *)memchr(p + 1, '"', (size_t)(end - p - 1));
        if (close == NULL || close + 1 >= end || close[1] != ']') {
            return "\"] is missing in the path";
        }
        wrong = add_step(steps, p + 1, (size_t)(close - p - 1), -1);
        *at = close + 2;
        return wrong;
    }
    int64_t index = 0;
    const char *first = p;
    while (p < end && *p >= '0' && *p <= '9' && index < 100000) {
        index = index * 10 + (*p++ - '0');
    }
    if (p == first || p >= end || *p != ']') {
        return "a list index is a number in [ ]";
    }
    *at = p + 1;
    return add_step(steps, first, (size_t)(p - first), index);
}

/* `a.b[0]["c.d"].e`; NULL = fine, else what is wrong. */
static const char *read_path(const char *p, const char *end, struct steps *steps)
{
    while (p < end) {
        const char *wrong = NULL;
        if (*p == '[') {
            wrong = read_bracket(&p, end, steps);
        }
        else {
            const char *first = p;
            while (p < end && *p != '.' && *p != '[') {
                p++;
            }
            wrong = p == first ? "a step of the path is empty"
                               : add_step(steps, first, (size_t)(p - first), -1);
        }
        if (wrong != NULL) {
            return wrong;
        }
        if (p < end && *p == '.') {
            p++;
            if (p == end) {
                return "a step of the path is empty";
            }
        }
    }
    return steps->count == 0 ? "the path is empty" : NULL;
}

/* Places of the command line mean nothing in the file. */
static void clear_places(struct sluice_yaml *node)
{
    node->line = 0;
    node->column = 0;
    for (size_t i = 0; i < node->count; i++) {
        clear_places(node->items[i]);
        if (node->keys != NULL) {
            clear_places(node->keys[i]);
        }
    }
}

struct sluice_yaml *sluice_yaml_value(const char *text, const char *what,
                                      struct sluice_diags *diags)
{
    struct sluice_yaml *node = NULL;
    while (*text == ' ') {
        text++;
    }
    size_t size = strlen(text);
    if (!sluice_utf8_valid(text, size)) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, what, NULL, "not valid UTF-8");
        return NULL;
    }
    if (size == 0 || strchr("[{\"'", text[0]) == NULL) {
        node = sluice_yaml_new_scalar(text, size, 0, 0);
        if (node == NULL) {
            sluice_diags_no_memory(diags);
        }
        return node;
    }
    /* Findings of the value are told without its text: it may be a secret. */
    struct sluice_diags own;
    sluice_diags_init(&own, NULL);
    node = sluice_yaml_parse(text, size, &own);
    if (node == NULL || own.errors > 0) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, what,
                         own.count > 0 ? own.items[0].hint : NULL, "the value is not valid: %s",
                         own.count > 0 ? own.items[0].message : "out of memory");
        sluice_yaml_free(node);
        node = NULL;
    }
    sluice_diags_free(&own);
    if (node != NULL) {
        clear_places(node);
    }
    return node;
}

static size_t depth_of(const struct sluice_yaml *node)
{
    size_t deepest = 0;
    for (size_t i = 0; i < node->count; i++) {
        size_t depth = depth_of(node->items[i]);
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* Turns an empty value into an empty mapping or list. 0 = it holds something else. */
static int become(struct sluice_yaml *node, int32_t kind)
{
    if (node->kind == kind) {
        return 1;
    }
    if (!sluice_yaml_is_null(node)) {
        return 0;
    }
    sluice_free(node->text);
    node->text = NULL;
    node->kind = kind;
    return 1;
}

/* The slot that a step leads to; made (as an empty scalar) if missing. NULL = *wrong says why. */
static struct sluice_yaml **walk(struct sluice_yaml *node, const struct step *step,
                                 const char **wrong)
{
    int32_t kind = step->index >= 0 ? SLUICE_YAML_SEQUENCE : SLUICE_YAML_MAPPING;
    size_t at = 0;
    if (!become(node, kind)) {
        *wrong = step->index >= 0 ? "is not a list" : "is not a mapping";
        return NULL;
    }
    if (step->index >= 0) {
        at = (size_t)step->index;
        if (at > node->count) {
            *wrong = "has no such item";
            return NULL;
        }
    }
    else {
        while (at < node->count && strcmp(node->keys[at]->text, step->key) != 0) {
            at++;
        }
    }
    if (at == node->count) {
        struct sluice_yaml *key =
            step->index >= 0 ? NULL : sluice_yaml_new_scalar(step->key, strlen(step->key), 0, 0);
        if (!sluice_yaml_append(node, key, sluice_yaml_new_scalar("", 0, 0, 0))) {
            *wrong = "out of memory";
            return NULL;
        }
    }
    return &node->items[at];
}

/* Moves `value` (NULL afterwards) to where the steps lead. */
static int assign(struct sluice_yaml *root, const struct steps *steps, struct sluice_yaml **value,
                  struct sluice_diags *diags)
{
    struct sluice_str path = SLUICE_STR_INIT;
    struct sluice_yaml **slot = NULL;
    struct sluice_yaml *node = root;
    for (size_t i = 0; i < steps->count; i++) {
        const struct step *step = &steps->items[i];
        const char *wrong = NULL;
        slot = walk(node, step, &wrong);
        if (slot == NULL) {
            sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, "--set", NULL, "%s %s",
                             path.size > 0 ? sluice_str_text(&path) : "the file", wrong);
            break;
        }
        (void)(step->index >= 0 ? sluice_path_push_index(&path, (size_t)step->index)
                                : sluice_path_push(&path, step->key));
        node = *slot;
    }
    if (slot != NULL) {
        sluice_yaml_free(*slot);
        *slot = *value;
        *value = NULL;
    }
    sluice_str_free(&path);
    return slot != NULL;
}

int sluice_yaml_set(struct sluice_yaml *root, const char *assignment, struct sluice_diags *diags)
{
    struct steps steps = {.count = 0};
    struct sluice_yaml *value = NULL;
    int done = 0;
    const char *equals = strchr(assignment, '=');
    const char *wrong = NULL;
    if (equals == NULL) {
        wrong = "an assignment is PATH=VALUE";
    }
    else if (!sluice_utf8_valid(assignment, (size_t)(equals - assignment))) {
        wrong = "the path is not valid UTF-8";
    }
    else {
        wrong = read_path(assignment, equals, &steps);
    }
    if (wrong != NULL) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, "--set",
                         "for example --set sinks.lake.config.bucket=b", "%s", wrong);
        goto out;
    }
    value = sluice_yaml_value(equals + 1, "--set", diags);
    if (value == NULL) {
        goto out;
    }
    if (steps.count + depth_of(value) > SLUICE_LIMIT_YAML_DEPTH) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, "--set", NULL,
                         "nested deeper than 64 levels");
        goto out;
    }
    done = assign(root, &steps, &value, diags);

out:
    sluice_yaml_free(value);
    steps_free(&steps);
    return done;
}
