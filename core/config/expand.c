/* ${env:X}, ${env:X:-default}, ${file:/path} in the values of a tree. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "config/internal.h"
#include "config/read.h"
#include "log/log.h"

struct expander {
    struct sluice_diags *diags;
    struct sluice_str path; /* of the value in hand */
    struct sluice_yaml *node;
    int no_memory;
};

#define FORMS "${env:NAME}, ${env:NAME:-default}, ${file:/path}; a literal ${ is written $${"

static void report(struct expander *x, const char *hint, const char *format, ...)
    SLUICE_PRINTF(3, 4);

static void report(struct expander *x, const char *hint, const char *format, ...)
{
    struct sluice_error text = SLUICE_ERROR_INIT;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text.message, sizeof text.message, format, args);
    va_end(args);
    sluice_diags_add(x->diags, SLUICE_DIAG_ERROR, x->node->line, x->node->column,
                     sluice_str_text(&x->path), hint, "%s", text.message);
    x->node->broken = 1;
}

/* Appends what came from outside and remembers it. */
static void take(struct expander *x, struct sluice_str *out, const char *text, size_t size)
{
    struct sluice_yaml *node = x->node;
    sluice_str_append_n(out, text, size);
    node->secret = 1;
    char **bigger =
        (char **)sluice_alloc_resize((void *)node->pieces, node->piece_count + 1, sizeof *bigger);
    if (bigger == NULL) {
        x->no_memory = 1;
        return;
    }
    node->pieces = bigger;
    bigger[node->piece_count] = sluice_alloc_string_n(text, size);
    if (bigger[node->piece_count] == NULL) {
        x->no_memory = 1;
        return;
    }
    node->piece_count++;
}

static int is_variable_name(const char *name, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        int letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) {
            return 0;
        }
    }
    return size > 0;
}

/* `body` is "NAME" or "NAME:-default". */
static void expand_env(struct expander *x, struct sluice_str *out, const char *body, size_t size)
{
    const char *fallback = (const char *)memmem(body, size, ":-", 2);
    size_t name_size = fallback != NULL ? (size_t)(fallback - body) : size;
    if (!is_variable_name(body, name_size)) {
        report(x, "names are letters, digits and _", "${env:…} needs the name of a variable");
        return;
    }
    char *name = sluice_alloc_string_n(body, name_size);
    if (name == NULL) {
        x->no_memory = 1;
        return;
    }
    const char *value = getenv(name);
    if (fallback != NULL && (value == NULL || *value == '\0')) {
        /* The default stands in the file for all to read: it is not secret, but it is marked, so
         * that an empty one counts as empty text, as an empty variable does. */
        take(x, out, fallback + 2, size - name_size - 2);
    }
    else if (value == NULL) {
        report(x, "set it, or give a default: ${env:NAME:-default}",
               "environment variable %s is not set", name);
    }
    else if (!sluice_utf8_valid(value, strlen(value))) {
        report(x, NULL, "environment variable %s is not valid UTF-8", name);
    }
    else {
        take(x, out, value, strlen(value));
    }
    sluice_free(name);
}

/* A relative path is meant from the folder of the pipeline file. */
static char *resolve_path(const struct expander *x, const char *body, size_t size)
{
    struct sluice_str path = SLUICE_STR_INIT;
    const char *file = x->diags->file;
    const char *slash = file != NULL ? strrchr(file, '/') : NULL;
    if (body[0] != '/' && slash != NULL) {
        sluice_str_append_n(&path, file, (size_t)(slash - file) + 1);
    }
    sluice_str_append_n(&path, body, size);
    return sluice_str_steal(&path);
}

static void take_file(struct expander *x, struct sluice_str *out, const char *path, char *data,
                      size_t size)
{
    if (size > SLUICE_LIMIT_SECRET_FILE_BYTES) {
        report(x, NULL, "\"%s\" is larger than 64 KiB, the most that is read of a secret", path);
        return;
    }
    if (!sluice_utf8_valid(data, size)) {
        report(x, NULL, "\"%s\" is not valid UTF-8 text", path);
        return;
    }
    if (size > 0 && data[size - 1] == '\n') {
        size--;
        size -= size > 0 && data[size - 1] == '\r';
    }
    data[size] = '\0';
    /* Whoever keeps a value in a file of its own wants it kept. */
    sluice_log_secret_add(data);
    take(x, out, data, size);
}

static void expand_file(struct expander *x, struct sluice_str *out, const char *body, size_t size)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    char *data = NULL;
    size_t data_size = 0;
    if (size == 0) {
        report(x, FORMS, "${file:…} needs the path of a file");
        return;
    }
    char *path = resolve_path(x, body, size);
    if (path == NULL) {
        x->no_memory = 1;
        return;
    }
    sluice_status status =
        sluice_config_file_read(path, SLUICE_LIMIT_SECRET_FILE_BYTES, 1, &data, &data_size, &err);
    if (status == SLUICE_E_PERMISSION && err.native_code == 0) {
        struct sluice_str hint = SLUICE_STR_INIT;
        sluice_str_printf(&hint, "chmod 600 '%s'", path);
        report(x, sluice_str_text(&hint), "%s", err.message);
        sluice_str_free(&hint);
    }
    else if (status < 0) {
        report(x, NULL, "%s", err.message);
    }
    else {
        take_file(x, out, path, data, data_size);
        sluice_free_secret(data, data_size);
    }
    sluice_free(path);
}

/* `body` is what stands between "${" and "}". */
static void expand_one(struct expander *x, struct sluice_str *out, const char *body, size_t size)
{
    if (memmem(body, size, "${", 2) != NULL) {
        report(x, FORMS, "${…} cannot stand inside another ${…}");
    }
    else if (size >= 4 && memcmp(body, "env:", 4) == 0) {
        expand_env(x, out, body + 4, size - 4);
    }
    else if (size >= 5 && memcmp(body, "file:", 5) == 0) {
        expand_file(x, out, body + 5, size - 5);
    }
    else {
        /* A password may hold "${": of what is between the braces no more is shown than a scheme. */
        size_t scheme = strspn(body, "abcdefghijklmnopqrstuvwxyz");
        int shown = scheme > 0 && scheme < size && body[scheme] == ':';
        report(x, FORMS, "unknown variable form ${%.*s…}", shown ? (int)scheme + 1 : 0, body);
    }
}

static void expand_scalar(struct expander *x, struct sluice_yaml *node)
{
    struct sluice_str out = SLUICE_STR_INIT;
    const char *p = node->text;
    if (strstr(p, "${") == NULL) {
        return;
    }
    x->node = node;
    while (*p != '\0' && !node->broken) {
        if (strncmp(p, "$${", 3) == 0) {
            sluice_str_append(&out, "${");
            p += 3;
        }
        else if (strncmp(p, "${", 2) == 0) {
            const char *end = strchr(p, '}');
            if (end == NULL) {
                report(x, FORMS, "${ without its }");
                break;
            }
            expand_one(x, &out, p + 2, (size_t)(end - p) - 2);
            p = end + 1;
        }
        else {
            size_t plain = *p == '$' ? 1 : strcspn(p, "$");
            sluice_str_append_n(&out, p, plain);
            p += plain;
        }
    }
    char *text = sluice_str_steal(&out);
    if (text == NULL) {
        x->no_memory = 1;
        return;
    }
    sluice_free(node->text);
    node->text = text;
}

/* Recursion is bounded by SLUICE_LIMIT_YAML_DEPTH. */
static void expand_node(struct expander *x, struct sluice_yaml *node)
{
    if (node->kind == SLUICE_YAML_SCALAR) {
        expand_scalar(x, node);
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        size_t mark = node->kind == SLUICE_YAML_MAPPING
                          ? sluice_path_push(&x->path, node->keys[i]->text)
                          : sluice_path_push_index(&x->path, i);
        expand_node(x, node->items[i]);
        sluice_path_pop(&x->path, mark);
    }
}

void sluice_yaml_expand(struct sluice_yaml *node, struct sluice_diags *diags)
{
    struct expander x = {diags, SLUICE_STR_INIT, NULL, 0};
    if (node == NULL) {
        return;
    }
    expand_node(&x, node);
    if (x.no_memory || x.path.failed) {
        sluice_diags_no_memory(diags);
    }
    sluice_str_free(&x.path);
}
