/* Trees of sluice_yaml: making, looking up, freeing; paths through them. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"

struct sluice_yaml *sluice_yaml_new(int32_t kind, uint32_t line, uint32_t column)
{
    struct sluice_yaml *node = (struct sluice_yaml *)sluice_alloc_zero(1, sizeof *node);
    if (node != NULL) {
        node->kind = kind;
        node->line = line;
        node->column = column;
    }
    return node;
}

struct sluice_yaml *sluice_yaml_new_scalar(const char *text, size_t size, uint32_t line,
                                           uint32_t column)
{
    struct sluice_yaml *node = sluice_yaml_new(SLUICE_YAML_SCALAR, line, column);
    if (node == NULL) {
        return NULL;
    }
    node->text = sluice_alloc_string_n(text, size);
    if (node->text == NULL) {
        sluice_free(node);
        return NULL;
    }
    return node;
}

/* Room for one more at full powers of two, from 4 on. */
static int grow(struct sluice_yaml ***array, size_t count)
{
    if (count != 0 && (count < 4 || (count & (count - 1)) != 0)) {
        return 1;
    }
    size_t cap = count == 0 ? 4 : count * 2;
    void *bigger = sluice_alloc_resize((void *)*array, cap, sizeof **array);
    if (bigger == NULL) {
        return 0;
    }
    *array = (struct sluice_yaml **)bigger;
    return 1;
}

int sluice_yaml_append(struct sluice_yaml *parent, struct sluice_yaml *key,
                       struct sluice_yaml *value)
{
    int mapping = parent->kind == SLUICE_YAML_MAPPING;
    if (value == NULL || (mapping && key == NULL) || !grow(&parent->items, parent->count) ||
        (mapping && !grow(&parent->keys, parent->count))) {
        sluice_yaml_free(key);
        sluice_yaml_free(value);
        return 0;
    }
    if (mapping) {
        parent->keys[parent->count] = key;
    }
    parent->items[parent->count++] = value;
    return 1;
}

/* Recursion is bounded by SLUICE_LIMIT_YAML_DEPTH, which every way of building a tree keeps. */
void sluice_yaml_free(struct sluice_yaml *node)
{
    if (node == NULL) {
        return;
    }
    for (size_t i = 0; i < node->count; i++) {
        sluice_yaml_free(node->items[i]);
        if (node->keys != NULL) {
            sluice_yaml_free(node->keys[i]);
        }
    }
    for (size_t i = 0; i < node->piece_count; i++) {
        sluice_free_secret(node->pieces[i], strlen(node->pieces[i]));
    }
    sluice_free((void *)node->pieces);
    sluice_free((void *)node->items);
    sluice_free((void *)node->keys);
    /* Any text may be a password: the tree does not know which. */
    sluice_free_secret(node->text, node->text != NULL ? strlen(node->text) : 0);
    sluice_free(node);
}

const struct sluice_yaml *sluice_yaml_get(const struct sluice_yaml *map, const char *key)
{
    if (map == NULL || map->kind != SLUICE_YAML_MAPPING) {
        return NULL;
    }
    for (size_t i = 0; i < map->count; i++) {
        if (strcmp(map->keys[i]->text, key) == 0) {
            return map->items[i];
        }
    }
    return NULL;
}

int sluice_yaml_is_null(const struct sluice_yaml *node)
{
    if (node == NULL) {
        return 1;
    }
    if (node->kind != SLUICE_YAML_SCALAR || node->quoted || node->secret) {
        return 0;
    }
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(node->text, words[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

const char *sluice_yaml_kind_name(const struct sluice_yaml *node)
{
    if (sluice_yaml_is_null(node)) {
        return "nothing";
    }
    switch (node->kind) {
    case SLUICE_YAML_SEQUENCE:
        return "a list";
    case SLUICE_YAML_MAPPING:
        return "a mapping";
    default:
        return "text";
    }
}

static int is_word(const char *key)
{
    for (const char *p = key; *p != '\0'; p++) {
        int letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z');
        if (!letter && !(*p >= '0' && *p <= '9') && *p != '_' && *p != '-') {
            return 0;
        }
    }
    return *key != '\0';
}

size_t sluice_path_push(struct sluice_str *path, const char *key)
{
    enum { KEY_MAX = 100 }; /* of a key that is no word: a path is one line */
    size_t size = path->size;
    if (is_word(key)) {
        if (size > 0) {
            sluice_str_append_char(path, '.');
        }
        sluice_str_append(path, key);
        return size;
    }
    sluice_str_append(path, "[\"");
    for (size_t i = 0; key[i] != '\0'; i++) {
        if (i >= KEY_MAX && ((unsigned char)key[i] & 0xc0u) != 0x80u) {
            sluice_str_append(path, "…");
            break;
        }
        if (key[i] == '"' || key[i] == '\\') {
            sluice_str_append_char(path, '\\');
        }
        sluice_str_append_char(path, (unsigned char)key[i] < 0x20 ? ' ' : key[i]);
    }
    sluice_str_append(path, "\"]");
    return size;
}

size_t sluice_path_push_index(struct sluice_str *path, size_t i)
{
    size_t size = path->size;
    sluice_str_printf(path, "[%zu]", i);
    return size;
}

void sluice_path_pop(struct sluice_str *path, size_t size)
{
    if (path->data != NULL && size <= path->size) {
        path->size = size;
        path->data[size] = '\0';
    }
}

void sluice_diags_no_memory(struct sluice_diags *diags)
{
    sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, NULL, NULL, "out of memory");
}
