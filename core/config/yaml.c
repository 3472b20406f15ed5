/* Building the tree out of libyaml's events. */
#include "config/yaml.h"

#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/limits.h"
#include "base/map.h"
#include "config/internal.h"

struct frame {
    struct sluice_yaml *node;
    struct sluice_yaml *key; /* read, its value not yet */
};

struct builder {
    struct sluice_diags *diags;
    struct sluice_yaml *root;
    struct frame frames[SLUICE_LIMIT_YAML_DEPTH];
    size_t depth;
    size_t nodes;
    size_t documents;
    size_t references; /* anchors, aliases, tags reported so far */
    int stop;          /* reported; nothing after it makes sense */
    int broken;        /* there is no usable tree */
    int no_memory;
};

static uint32_t line_of(const yaml_event_t *event)
{
    return (uint32_t)event->start_mark.line + 1u;
}

static uint32_t column_of(const yaml_event_t *event)
{
    return (uint32_t)event->start_mark.column + 1u;
}

/* The path of what comes next. */
static void path_of(const struct builder *b, struct sluice_str *path)
{
    for (size_t i = 0; i < b->depth; i++) {
        const struct frame *f = &b->frames[i];
        /* Of an inner node the outer one holds key and place already. */
        size_t inner = i + 1 < b->depth;
        if (f->node->kind == SLUICE_YAML_SEQUENCE) {
            (void)sluice_path_push_index(path, f->node->count - inner);
        }
        else if (inner) {
            (void)sluice_path_push(path, f->node->keys[f->node->count - 1]->text);
        }
        else if (f->key != NULL) {
            (void)sluice_path_push(path, f->key->text);
        }
    }
}

static void report(struct builder *b, uint32_t line, uint32_t column, const char *message,
                   const char *hint)
{
    struct sluice_str path = SLUICE_STR_INIT;
    path_of(b, &path);
    sluice_diags_add(b->diags, SLUICE_DIAG_ERROR, line, column, sluice_str_text(&path), hint, "%s",
                     message);
    sluice_str_free(&path);
}

static void report_event(struct builder *b, const yaml_event_t *event, const char *message,
                         const char *hint)
{
    report(b, line_of(event), column_of(event), message, hint);
}

static void report_fatal(struct builder *b, const yaml_event_t *event, const char *message,
                         const char *hint)
{
    report_event(b, event, message, hint);
    b->stop = 1;
    b->broken = 1;
}

/* Anchors, aliases and tags: told a few times, then enough is said. */
static void report_reference(struct builder *b, const yaml_event_t *event, const char *message,
                             const char *hint)
{
    enum { TOLD_MAX = 10 };
    if (b->references++ < TOLD_MAX) {
        report_event(b, event, message, hint);
    }
    else {
        b->stop = 1;
        b->broken = 1;
    }
}

static void refuse_extras(struct builder *b, const yaml_event_t *event, const yaml_char_t *anchor,
                          const yaml_char_t *tag)
{
    if (anchor != NULL) {
        report_reference(
            b, event, "anchors (&name) are not supported",
            "write the value out where it is needed; quote a value that begins with &");
    }
    if (tag != NULL) {
        report_reference(b, event, "tags (!name) are not supported",
                         "leave the tag out; quote a value that begins with !");
    }
}

/* Puts a node where it belongs; moves it. */
static void place(struct builder *b, struct sluice_yaml *node)
{
    if (node == NULL) {
        b->no_memory = 1;
        return;
    }
    if (b->depth == 0) {
        b->root = node;
        return;
    }
    struct frame *f = &b->frames[b->depth - 1];
    struct sluice_yaml *key = f->key;
    f->key = NULL;
    if (!sluice_yaml_append(f->node, key, node)) {
        b->no_memory = 1;
    }
}

static int expects_key(const struct builder *b)
{
    return b->depth > 0 && b->frames[b->depth - 1].node->kind == SLUICE_YAML_MAPPING &&
           b->frames[b->depth - 1].key == NULL;
}

static int count_node(struct builder *b, const yaml_event_t *event)
{
    if (b->nodes++ < SLUICE_LIMIT_YAML_NODES) {
        return 1;
    }
    report_fatal(b, event, "more than 100,000 values", "a pipeline file is far smaller: split it");
    return 0;
}

static void take_key(struct builder *b, const yaml_event_t *event, struct sluice_yaml *key)
{
    if (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp(key->text, "<<") == 0) {
        report_reference(b, event, "merge keys (<<) are not supported",
                         "write the keys out where they are needed");
        key->text[0] = '\0'; /* enough is said about it */
    }
    else if (key->text[0] == '\0') {
        report_event(b, event, "a key is missing before \":\"", NULL);
    }
    b->frames[b->depth - 1].key = key;
}

static void on_scalar(struct builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t size = event->data.scalar.length;
    refuse_extras(b, event, event->data.scalar.anchor, event->data.scalar.tag);
    if (!count_node(b, event)) {
        return;
    }
    if (memchr(text, '\0', size) != NULL) {
        report_event(b, event, "a value must not contain the character \\0", NULL);
    }
    struct sluice_yaml *node =
        sluice_yaml_new_scalar(text, strnlen(text, size), line_of(event), column_of(event));
    if (node == NULL) {
        b->no_memory = 1;
        return;
    }
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->broken = strlen(node->text) < size;
    if (expects_key(b)) {
        take_key(b, event, node);
        return;
    }
    place(b, node);
}

static void on_alias(struct builder *b, const yaml_event_t *event)
{
    struct sluice_yaml *node = sluice_yaml_new_scalar("", 0, line_of(event), column_of(event));
    if (node == NULL) {
        b->no_memory = 1;
        return;
    }
    node->broken = 1;
    if (expects_key(b)) {
        b->frames[b->depth - 1].key = node;
        return;
    }
    place(b, node);
}

static void on_open(struct builder *b, const yaml_event_t *event, int32_t kind)
{
    if (!count_node(b, event)) {
        return;
    }
    if (expects_key(b)) {
        report_fatal(b, event, "a key must be text, not a list or mapping",
                     "quote a value that begins with [ or {");
        return;
    }
    if (b->depth == SLUICE_LIMIT_YAML_DEPTH) {
        report_fatal(b, event, "nested deeper than 64 levels", NULL);
        return;
    }
    struct sluice_yaml *node = sluice_yaml_new(kind, line_of(event), column_of(event));
    place(b, node);
    if (!b->no_memory) {
        b->frames[b->depth].node = node;
        b->frames[b->depth].key = NULL;
        b->depth++;
    }
}

static void report_duplicate(struct builder *b, const struct sluice_yaml *key,
                             const struct sluice_yaml *first)
{
    struct sluice_str path = SLUICE_STR_INIT;
    struct sluice_str hint = SLUICE_STR_INIT;
    struct sluice_shown shown = sluice_show(key->text, 0);
    path_of(b, &path);
    (void)sluice_path_push(&path, key->text);
    sluice_str_printf(&hint, "it was first given at %u:%u", first->line, first->column);
    sluice_diags_add(b->diags, SLUICE_DIAG_ERROR, key->line, key->column, sluice_str_text(&path),
                     sluice_str_text(&hint), "key %s is given twice", shown.text);
    sluice_str_free(&hint);
    sluice_str_free(&path);
}

/* Reports duplicate keys of a finished mapping and drops them. */
static void check_duplicates(struct builder *b, struct sluice_yaml *map)
{
    struct sluice_map seen = SLUICE_MAP_INIT;
    size_t kept = 0;
    for (size_t i = 0; i < map->count; i++) {
        const struct sluice_yaml *first =
            (const struct sluice_yaml *)sluice_map_get(&seen, map->keys[i]->text);
        if (first != NULL) {
            report_duplicate(b, map->keys[i], first);
            sluice_yaml_free(map->keys[i]);
            sluice_yaml_free(map->items[i]);
            continue;
        }
        if (!sluice_map_put(&seen, map->keys[i]->text, map->keys[i])) {
            b->no_memory = 1;
        }
        map->keys[kept] = map->keys[i];
        map->items[kept] = map->items[i];
        kept++;
    }
    map->count = kept;
    sluice_map_free(&seen);
}

static void on_close(struct builder *b)
{
    struct sluice_yaml *node = b->frames[b->depth - 1].node;
    if (node->kind == SLUICE_YAML_MAPPING && node->count > 1) {
        check_duplicates(b, node);
    }
    b->depth--;
}

static void on_event(struct builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_STREAM_END_EVENT:
        b->stop = 1;
        break;
    case YAML_DOCUMENT_START_EVENT:
        if (b->documents++ > 0) {
            report_fatal(b, event, "a second document begins here; a file holds one",
                         "put each pipeline into a file of its own");
        }
        break;
    case YAML_ALIAS_EVENT:
        report_reference(b, event, "aliases (*name) are not supported",
                         "write the value out; quote a pattern that begins with *");
        on_alias(b, event);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(b, event);
        break;
    case YAML_SEQUENCE_START_EVENT:
        refuse_extras(b, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
        on_open(b, event, SLUICE_YAML_SEQUENCE);
        break;
    case YAML_MAPPING_START_EVENT:
        refuse_extras(b, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        on_open(b, event, SLUICE_YAML_MAPPING);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(b);
        break;
    default:
        break;
    }
}

static void explain(const yaml_parser_t *parser, const char *data, size_t size,
                    struct sluice_diags *diags)
{
    const struct sluice_yaml_problem problem = {
        parser->problem,
        parser->context,
        (uint32_t)parser->problem_mark.line + 1u,
        (uint32_t)parser->problem_mark.column + 1u,
        (uint32_t)parser->context_mark.line + 1u,
        (uint32_t)parser->context_mark.column + 1u,
    };
    if (parser->error == YAML_MEMORY_ERROR) {
        sluice_diags_no_memory(diags);
        return;
    }
    sluice_yaml_explain(&problem, data, size, diags);
}

static void run_parser(struct builder *b, yaml_parser_t *parser, const char *data, size_t size)
{
    while (!b->stop && !b->no_memory) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            explain(parser, data, size, b->diags);
            b->broken = 1;
            return;
        }
        on_event(b, &event);
        yaml_event_delete(&event);
    }
}

/* Length and column of a UTF-8 character; 0 = invalid. */
static size_t character_size(const unsigned char *p, size_t left)
{
    size_t size = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    if (size == 0 || size > left || p[0] > 0xf4) {
        return 0;
    }
    for (size_t i = 1; i < size; i++) {
        if ((p[i] & 0xc0u) != 0x80u) {
            return 0;
        }
    }
    int too_long = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    int outside = (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf4 && p[1] > 0x8f);
    return too_long || outside ? 0 : size;
}

static int is_allowed(const unsigned char *p, size_t size)
{
    if (size == 1) {
        return (p[0] >= 0x20 && p[0] != 0x7f) || p[0] == '\t' || p[0] == '\n' || p[0] == '\r';
    }
    if (size == 2) {
        return p[0] != 0xc2 || p[1] >= 0xa0 || p[1] == 0x85; /* C1 controls, but NEL */
    }
    return !(size == 3 && p[0] == 0xef &&
             ((p[1] == 0xbb && p[2] == 0xbf) || /* U+FEFF inside */
              (p[1] == 0xbf && p[2] >= 0xbe))); /* U+FFFE, U+FFFF */
}

/* Finds bytes that are no text before libyaml does, which tells no line for them. */
static int check_bytes(const char *data, size_t size, struct sluice_diags *diags)
{
    const unsigned char *p = (const unsigned char *)data;
    uint32_t line = 1;
    uint32_t column = 1;
    for (size_t i = 0; i < size;) {
        size_t n = character_size(p + i, size - i);
        if (n == 0) {
            sluice_diags_add(diags, SLUICE_DIAG_ERROR, line, column, NULL, "save the file as UTF-8",
                             "byte 0x%02X is not valid UTF-8", p[i]);
            return 0;
        }
        if (!is_allowed(p + i, n)) {
            sluice_diags_add(diags, SLUICE_DIAG_ERROR, line, column, NULL,
                             p[i] == 0 ? "the file is not text, or UTF-16: save it as UTF-8" : NULL,
                             "%s is not allowed in a pipeline file",
                             p[i] == 0 ? "a NUL byte" : "a control character");
            return 0;
        }
        if (p[i] == '\n') {
            line++;
            column = 0;
        }
        column++;
        i += n;
    }
    return 1;
}

/* What libyaml need not see. Skips a UTF-8 byte order mark. 0 = reported. */
static int check_input(const char **data, size_t *size, struct sluice_diags *diags)
{
    const unsigned char *p = (const unsigned char *)*data;
    if (*size > SLUICE_LIMIT_YAML_BYTES) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, NULL,
                         "split the pipeline, or choose tables by patterns",
                         "the file is larger than 1 MiB, the most that is read");
        return 0;
    }
    if (*size >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 1, 1, NULL, "save the file as UTF-8",
                         "the file is UTF-16");
        return 0;
    }
    if (*size >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        *data += 3;
        *size -= 3;
    }
    return check_bytes(*data, *size, diags);
}

struct sluice_yaml *sluice_yaml_parse(const char *data, size_t size, struct sluice_diags *diags)
{
    struct builder b;
    yaml_parser_t parser;
    if (!check_input(&data, &size, diags)) {
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        sluice_diags_no_memory(diags);
        return NULL;
    }
    memset(&b, 0, sizeof b);
    b.diags = diags;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)data, size);
    run_parser(&b, &parser, data, size);
    yaml_parser_delete(&parser);
    for (size_t i = 0; i < b.depth; i++) {
        sluice_yaml_free(b.frames[i].key);
    }
    if (b.no_memory) {
        sluice_diags_no_memory(diags);
    }
    else if (b.root == NULL && !b.broken) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, 0, 0, NULL, NULL, "the file is empty");
    }
    if (b.no_memory || b.broken) {
        sluice_yaml_free(b.root);
        return NULL;
    }
    return b.root;
}
