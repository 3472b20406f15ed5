/* Checking a mapping against an option table. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "config/slots.h"
#include "log/log.h"
#include "sluice/plugin.h"

struct checker {
    struct sluice_diags *diags;
    struct sluice_str path;
    int no_memory;
};

struct sluice_shown sluice_show(const char *text, int hidden)
{
    enum { SHOWN_MAX = 40 };
    struct sluice_shown shown = {""};
    if (hidden) {
        return shown;
    }
    size_t size = strlen(text);
    int cut = size > SHOWN_MAX;
    if (cut) {
        size = SHOWN_MAX;
        while (size > 0 && ((unsigned char)text[size] & 0xc0u) == 0x80u) {
            size--;
        }
    }
    (void)snprintf(shown.text, sizeof shown.text, "\"%.*s%s\"", (int)size, text, cut ? "…" : "");
    for (char *p = shown.text; *p != '\0'; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = ' ';
        }
    }
    return shown;
}

static int hides(const struct sluice_option *option, const struct sluice_yaml *node)
{
    return node->secret || (option->flags & SLUICE_OPTION_SECRET) != 0;
}

static void report(struct checker *c, const struct sluice_yaml *node, const char *hint,
                   const char *format, ...) SLUICE_PRINTF(4, 5);

static void report(struct checker *c, const struct sluice_yaml *node, const char *hint,
                   const char *format, ...)
{
    struct sluice_error text = SLUICE_ERROR_INIT;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text.message, sizeof text.message, format, args);
    va_end(args);
    sluice_diags_add(c->diags, SLUICE_DIAG_ERROR, node->line, node->column,
                     sluice_str_text(&c->path), hint, "%s", text.message);
}

/* "KEY wants WHAT, not VALUE" */
static void report_wrong(struct checker *c, const struct sluice_option *option,
                         const struct sluice_yaml *node, const char *hint, const char *wants)
{
    if (node->kind != SLUICE_YAML_SCALAR || sluice_yaml_is_null(node)) {
        report(c, node, hint, "%s wants %s, not %s", option->key, wants,
               sluice_yaml_kind_name(node));
        return;
    }
    struct sluice_shown shown = sluice_show(node->text, hides(option, node));
    report(c, node, hint, "%s wants %s%s%s", option->key, wants,
           shown.text[0] != '\0' ? ", not " : "", shown.text);
}

const char *sluice_option_example(const struct sluice_option *option)
{
    return SLUICE_HAS(option, example) ? option->example : NULL;
}

static const char *wants_text(const struct sluice_option *option)
{
    switch (option->type) {
    case SLUICE_OPTION_INT:
        return "a whole number";
    case SLUICE_OPTION_BOOL:
        return "true or false";
    case SLUICE_OPTION_DURATION:
        return "a duration like 200ms, 10s, 5m or 1h";
    case SLUICE_OPTION_SIZE:
        return "a size like 64MiB, 8MB or 512";
    case SLUICE_OPTION_LIST:
        return "a list";
    case SLUICE_OPTION_MAP:
        return "a mapping";
    default:
        return "text";
    }
}

static void format_number(const struct sluice_option *option, int64_t number, char out[32])
{
    if (option->type == SLUICE_OPTION_DURATION) {
        sluice_duration_exact(number, out);
    }
    else if (option->type == SLUICE_OPTION_SIZE) {
        sluice_size_exact(number, out);
    }
    else {
        (void)snprintf(out, 32, "%lld", (long long)number);
    }
}

static int check_range(struct checker *c, const struct sluice_option *option,
                       const struct sluice_yaml *node, int64_t number)
{
    if (option->max < option->min || (option->min == 0 && option->max == 0) ||
        (number >= option->min && number <= option->max)) {
        return 1;
    }
    char low[32];
    char high[32];
    struct sluice_shown shown = sluice_show(node->text, hides(option, node));
    const char *but = shown.text[0] != '\0' ? ", not " : "";
    /* The text is a number: no quotes. */
    char *value = shown.text;
    size_t size = strlen(value);
    if (size > 1) {
        value[size - 1] = '\0';
        value++;
    }
    format_number(option, option->min, low);
    format_number(option, option->max, high);
    if (option->min == option->max) {
        report(c, node, NULL, "%s must be %s%s%s", option->key, low, but, value);
    }
    else if (option->max == INT64_MAX) {
        report(c, node, NULL, "%s must be at least %s%s%s", option->key, low, but, value);
    }
    else {
        report(c, node, NULL, "%s must be between %s and %s%s%s", option->key, low, high, but,
               value);
    }
    return 0;
}

static int is_digits(const char *text)
{
    text += *text == '-' || *text == '+';
    return *text != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* INT, BOOL, DURATION, SIZE */
static int check_number(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    const struct sluice_option *option = slot->option;
    int64_t number = 0;
    int flag = 0;
    int right = 0;
    const char *hint = NULL;
    switch (option->type) {
    case SLUICE_OPTION_INT:
        right = sluice_parse_int(node->text, &number);
        hint = !right && is_digits(node->text) ? "the number is too large" : NULL;
        break;
    case SLUICE_OPTION_BOOL:
        right = sluice_parse_bool(node->text, &flag);
        number = flag;
        break;
    case SLUICE_OPTION_DURATION:
        right = sluice_parse_duration(node->text, &number);
        hint = !right && is_digits(node->text) ? "the unit is missing: us ms s m h d" : NULL;
        break;
    default:
        right = sluice_parse_size(node->text, &number);
        hint = !right ? "units: B KB MB GB TB KiB MiB GiB TiB" : NULL;
        break;
    }
    /* Text that a variable brought in may stand in quotes, in { } it even must. */
    int scalar_text = node->quoted && !node->secret &&
                      (option->type == SLUICE_OPTION_INT || option->type == SLUICE_OPTION_BOOL);
    if (right && scalar_text) {
        hint = "leave the quotes out";
        right = 0;
    }
    if (!right) {
        report_wrong(c, option, node, hint, wants_text(option));
        return 0;
    }
    if (option->type != SLUICE_OPTION_BOOL && !check_range(c, option, node, number)) {
        return 0;
    }
    slot->value.number = number;
    return 1;
}

static int check_enum(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    const struct sluice_option *option = slot->option;
    struct sluice_str list = SLUICE_STR_INIT;
    size_t count = 0;
    const char *near = NULL;
    for (; option->choices[count] != NULL; count++) {
        if (strcmp(option->choices[count], node->text) == 0) {
            slot->value.number = (int64_t)count;
            return 1;
        }
        if (strcasecmp(option->choices[count], node->text) == 0) {
            near = option->choices[count];
        }
    }
    for (size_t i = 0; i < count; i++) {
        sluice_str_printf(&list, "%s%s",
                          i == 0          ? ""
                          : i + 1 < count ? ", "
                                          : " or ",
                          option->choices[i]);
    }
    if (near == NULL && !hides(option, node)) {
        near = sluice_did_you_mean(node->text, option->choices, count);
    }
    struct sluice_str hint = SLUICE_STR_INIT;
    if (near != NULL) {
        sluice_str_printf(&hint, "did you mean %s?", near);
    }
    report_wrong(c, option, node, near != NULL ? sluice_str_text(&hint) : NULL,
                 sluice_str_text(&list));
    sluice_str_free(&hint);
    sluice_str_free(&list);
    return 0;
}

static int check_scalar(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    const struct sluice_option *option = slot->option;
    if (node->kind != SLUICE_YAML_SCALAR) {
        report_wrong(c, option, node, NULL, wants_text(option));
        return 0;
    }
    if (option->type == SLUICE_OPTION_ENUM
            ? !check_enum(c, slot, node)
            : option->type != SLUICE_OPTION_STRING && !check_number(c, slot, node)) {
        return 0;
    }
    slot->text = sluice_alloc_string(node->text);
    if (slot->text == NULL) {
        c->no_memory = 1;
        return 0;
    }
    if (option->type == SLUICE_OPTION_STRING || option->type == SLUICE_OPTION_ENUM) {
        slot->value.string = slot->text;
        slot->value.string_size = strlen(slot->text);
    }
    return 1;
}

/* An item of a list or a value of a map: text. */
static char *check_item(struct checker *c, const struct sluice_option *option,
                        const struct sluice_yaml *node)
{
    if (node->broken) {
        return sluice_alloc_string("");
    }
    if (node->kind != SLUICE_YAML_SCALAR || sluice_yaml_is_null(node)) {
        report(c, node, sluice_yaml_is_null(node) ? "write \"\" for empty text" : NULL,
               "%s wants text here, not %s", option->key, sluice_yaml_kind_name(node));
        return sluice_alloc_string("");
    }
    return sluice_alloc_string(node->text);
}

static int check_list(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    const struct sluice_option *option = slot->option;
    if (node->kind == SLUICE_YAML_MAPPING) {
        report_wrong(c, option, node, NULL, wants_text(option));
        return 0;
    }
    /* One text stands for a list of one. */
    size_t count = node->kind == SLUICE_YAML_SCALAR ? 1 : node->count;
    slot->items = (const char **)sluice_alloc_zero(count, sizeof *slot->items);
    if (slot->items == NULL) {
        c->no_memory = 1;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        size_t mark = c->path.size;
        if (node->kind == SLUICE_YAML_SEQUENCE) {
            (void)sluice_path_push_index(&c->path, i);
        }
        char *item =
            check_item(c, option, node->kind == SLUICE_YAML_SCALAR ? node : node->items[i]);
        sluice_path_pop(&c->path, mark);
        if (item == NULL) {
            c->no_memory = 1;
            return 0;
        }
        slot->items[slot->used++] = item;
    }
    slot->value.items = slot->items;
    slot->value.count = (uint32_t)slot->used;
    return 1;
}

static int check_map(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    const struct sluice_option *option = slot->option;
    if (node->kind != SLUICE_YAML_MAPPING) {
        report_wrong(c, option, node, NULL, wants_text(option));
        return 0;
    }
    slot->pairs = (struct sluice_pair *)sluice_alloc_zero(node->count, sizeof *slot->pairs);
    if (slot->pairs == NULL) {
        c->no_memory = 1;
        return 0;
    }
    for (size_t i = 0; i < node->count; i++) {
        size_t mark = sluice_path_push(&c->path, node->keys[i]->text);
        struct sluice_pair *pair = &slot->pairs[slot->used++];
        pair->key = sluice_alloc_string(node->keys[i]->text);
        pair->value = check_item(c, option, node->items[i]);
        sluice_path_pop(&c->path, mark);
        if (pair->key == NULL || pair->value == NULL) {
            c->no_memory = 1;
            return 0;
        }
    }
    slot->value.pairs = slot->pairs;
    slot->value.count = (uint32_t)slot->used;
    return 1;
}

/* All texts of the value, right or wrong: whoever wrote them under a secret key meant to hide them.
 * Under any key, passwords within addresses. */
static void register_secrets(const struct sluice_yaml *node, int is_secret)
{
    if (node->kind == SLUICE_YAML_SCALAR) {
        sluice_url_register_secret(node->text);
        if (is_secret) {
            sluice_log_secret_add(node->text);
        }
    }
    for (size_t i = 0; is_secret && i < node->piece_count; i++) {
        sluice_log_secret_add(node->pieces[i]);
    }
    for (size_t i = 0; i < node->count; i++) {
        register_secrets(node->items[i], is_secret);
    }
}

/* 1 = the slot is set. */
static int fill(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *node)
{
    int right = 0;
    if (slot->option->type == SLUICE_OPTION_LIST) {
        right = check_list(c, slot, node);
    }
    else if (slot->option->type == SLUICE_OPTION_MAP) {
        right = check_map(c, slot, node);
    }
    else {
        right = check_scalar(c, slot, node);
    }
    register_secrets(node, (slot->option->flags & SLUICE_OPTION_SECRET) != 0);
    if (!right) {
        sluice_slot_clear(slot);
        return 0;
    }
    slot->value.is_set = 1;
    return 1;
}

static void fill_default(struct checker *c, struct sluice_slot *slot)
{
    const struct sluice_option *option = slot->option;
    struct sluice_yaml *node = NULL;
    if (option->default_value == NULL) {
        return;
    }
    if (option->type == SLUICE_OPTION_LIST || option->type == SLUICE_OPTION_MAP) {
        node = sluice_yaml_value(option->default_value, option->key, c->diags);
    }
    else {
        node = sluice_yaml_new_scalar(option->default_value, strlen(option->default_value), 0, 0);
    }
    if (node == NULL) {
        c->no_memory = 1;
        return;
    }
    slot->is_default = fill(c, slot, node);
    sluice_yaml_free(node);
}

static void report_missing(struct checker *c, const struct sluice_option *option, uint32_t line,
                           uint32_t column, int empty)
{
    struct sluice_str hint = SLUICE_STR_INIT;
    size_t mark = sluice_path_push(&c->path, option->key);
    const char *example = sluice_option_example(option);
    if (example != NULL) {
        sluice_str_printf(&hint, "for example %s: %s", option->key, example);
    }
    sluice_diags_add(c->diags, SLUICE_DIAG_ERROR, line, column, sluice_str_text(&c->path),
                     example != NULL ? sluice_str_text(&hint) : NULL,
                     empty ? "%s must not be empty" : "%s is required", option->key);
    sluice_path_pop(&c->path, mark);
    sluice_str_free(&hint);
}

static void check_option(struct checker *c, struct sluice_slot *slot, const struct sluice_yaml *map,
                         uint32_t line, uint32_t column)
{
    const struct sluice_option *option = slot->option;
    const struct sluice_yaml *node = sluice_yaml_get(map, option->key);
    int required = (option->flags & SLUICE_OPTION_REQUIRED) != 0;
    if (node != NULL && node->broken) {
        return;
    }
    if (sluice_yaml_is_null(node)) {
        if (required) {
            report_missing(c, option, node != NULL ? node->line : line,
                           node != NULL ? node->column : column, node != NULL);
            return;
        }
        fill_default(c, slot);
        return;
    }
    size_t mark = sluice_path_push(&c->path, option->key);
    if ((option->flags & SLUICE_OPTION_DEPRECATED) != 0) {
        sluice_diags_add(c->diags, SLUICE_DIAG_WARN, node->line, node->column,
                         sluice_str_text(&c->path), option->help, "%s is deprecated", option->key);
    }
    int set = fill(c, slot, node);
    sluice_path_pop(&c->path, mark);
    int empty = set && ((option->type == SLUICE_OPTION_STRING && slot->text[0] == '\0') ||
                        (option->type == SLUICE_OPTION_LIST && slot->used == 0));
    if (empty && required) {
        report_missing(c, option, node->line, node->column, 1);
    }
}

static int in_list(const char *const *list, const char *word)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
        if (strcmp(list[i], word) == 0) {
            return 1;
        }
    }
    return 0;
}

static int in_table(const struct sluice_option *const *options, const char *key)
{
    for (size_t i = 0; options != NULL && options[i] != NULL; i++) {
        if (strcmp(options[i]->key, key) == 0) {
            return 1;
        }
    }
    return 0;
}

/* All keys that may stand here: to guess from, and to list. */
static size_t known_keys(const struct sluice_option *const *options, const char *const *others,
                         const char **out, size_t cap)
{
    size_t count = 0;
    for (size_t i = 0; options != NULL && options[i] != NULL && count < cap; i++) {
        if ((options[i]->flags & SLUICE_OPTION_DEPRECATED) == 0) {
            out[count++] = options[i]->key;
        }
    }
    for (size_t i = 0; others != NULL && others[i] != NULL && count < cap; i++) {
        out[count++] = others[i];
    }
    return count;
}

static void report_unknown(struct checker *c, const struct sluice_option *const *options,
                           const struct sluice_check *check, const struct sluice_yaml *key)
{
    enum { KEYS_MAX = 256, LISTED_MAX = 12 };
    const char *keys[KEYS_MAX];
    if (c->diags->count > SLUICE_DIAGS_MAX) {
        report(c, key, NULL, "unknown key"); /* only counted: no need to guess */
        return;
    }
    size_t count = known_keys(options, check->others, keys, KEYS_MAX);
    const char *near = sluice_did_you_mean(key->text, keys, count);
    struct sluice_shown shown = sluice_show(key->text, 0);
    struct sluice_str hint = SLUICE_STR_INIT;
    if (in_list(check->reserved, key->text)) {
        report(c, key, NULL, "%s is not available in this version", shown.text);
        return;
    }
    if (in_table(check->nearby, key->text)) {
        sluice_str_printf(&hint, "it is an option of %s: put it under config:", check->plugin);
    }
    else if (in_list(check->outside, key->text)) {
        sluice_str_printf(&hint, "it belongs beside config:, not into it");
    }
    else if (near != NULL) {
        sluice_str_printf(&hint, "did you mean %s?", near);
    }
    else if (count == 0) {
        sluice_str_append(&hint, "there are no options here");
    }
    else {
        sluice_str_append(&hint, "known here: ");
        for (size_t i = 0; i < count && i < LISTED_MAX; i++) {
            sluice_str_printf(&hint, "%s%s", i > 0 ? ", " : "", keys[i]);
        }
        sluice_str_append(&hint, count > LISTED_MAX ? ", …" : "");
    }
    report(c, key, sluice_str_text(&hint), "unknown key %s", shown.text);
    sluice_str_free(&hint);
}

static void check_keys(struct checker *c, const struct sluice_option *const *options,
                       const struct sluice_check *check, const struct sluice_yaml *map)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct sluice_yaml *key = map->keys[i];
        if (in_table(options, key->text) || in_list(check->others, key->text) ||
            in_list(check->elsewhere, key->text) || key->text[0] == '\0') {
            continue;
        }
        size_t mark = sluice_path_push(&c->path, key->text);
        report_unknown(c, options, check, key);
        sluice_path_pop(&c->path, mark);
    }
}

struct sluice_config *sluice_config_check_with(const struct sluice_option *const *options,
                                               const struct sluice_yaml *node, const char *path,
                                               const struct sluice_check *check,
                                               struct sluice_diags *diags)
{
    struct checker c = {diags, SLUICE_STR_INIT, 0};
    struct sluice_config *config = sluice_config_new(options);
    if (config == NULL) {
        sluice_diags_no_memory(diags);
        return NULL;
    }
    int placed = check->line > 0 || node == NULL;
    uint32_t line = placed ? check->line : node->line;
    uint32_t column = placed ? check->column : node->column;
    const struct sluice_yaml *map = node;
    sluice_str_append(&c.path, path);
    if (node != NULL && node->broken) {
        map = NULL;
    }
    else if (!sluice_yaml_is_null(node) && node->kind != SLUICE_YAML_MAPPING) {
        report(&c, node, NULL, "wants a mapping, not %s", sluice_yaml_kind_name(node));
        map = NULL;
    }
    else {
        if (!sluice_yaml_is_null(node)) {
            check_keys(&c, options, check, node);
        }
        for (size_t i = 0; i < config->count && !c.no_memory; i++) {
            check_option(&c, &config->slots[i], map, line, column);
        }
    }
    if (c.no_memory || c.path.failed) {
        sluice_diags_no_memory(diags);
        sluice_config_free(config);
        config = NULL;
    }
    sluice_str_free(&c.path);
    return config;
}

struct sluice_config *sluice_config_check(const struct sluice_option *const *options,
                                          const struct sluice_yaml *node, const char *path,
                                          struct sluice_diags *diags)
{
    const struct sluice_check none = {0};
    return sluice_config_check_with(options, node, path, &none, diags);
}

struct sluice_config *sluice_config_from_pairs(const struct sluice_option *const *options,
                                               const struct sluice_pair *pairs, size_t count,
                                               struct sluice_diags *diags)
{
    struct sluice_config *config = NULL;
    struct sluice_yaml *map = sluice_yaml_new(SLUICE_YAML_MAPPING, 0, 0);
    int complete = map != NULL;
    for (size_t i = 0; complete && i < count; i++) {
        struct sluice_yaml *value = sluice_yaml_value(pairs[i].value, pairs[i].key, diags);
        if (value == NULL) {
            continue;
        }
        complete = sluice_yaml_append(
            map, sluice_yaml_new_scalar(pairs[i].key, strlen(pairs[i].key), 0, 0), value);
    }
    if (complete) {
        config = sluice_config_check(options, map, "", diags);
    }
    else {
        sluice_diags_no_memory(diags);
    }
    sluice_yaml_free(map);
    return config;
}
