#include "args.h"

#include <string.h>

#include "base/alloc.h"
#include "config/options.h"

#define NAMES_MAX 64

static int list_add(struct sluice_cli_list *list, const char *item)
{
    if (item == NULL || !sluice_alloc_grow((void **)&list->items, &list->cap, list->count + 1,
                                           sizeof *list->items)) {
        return 0;
    }
    list->items[list->count++] = item;
    return 1;
}

void sluice_cli_args_free(struct sluice_cli_args *args)
{
    for (size_t i = 0; i < args->owned.count; i++) {
        sluice_free((void *)(uintptr_t)args->owned.items[i]);
    }
    sluice_free(args->owned.items);
    sluice_free(args->words.items);
    sluice_free(args->plugin_dirs.items);
    sluice_free(args->tables.items);
    sluice_free(args->sets.items);
    memset(args, 0, sizeof *args);
}

void sluice_cli_usage_free(struct sluice_cli_usage *usage)
{
    sluice_str_free(&usage->message);
    sluice_str_free(&usage->hint);
}

int sluice_cli_args_has(const struct sluice_cli_args *args, int option)
{
    return (args->given & SLUICE_OPT_BIT(option)) != 0;
}

int64_t sluice_cli_args_number(const struct sluice_cli_args *args, int option, int64_t otherwise)
{
    int64_t number = otherwise;
    if (!sluice_cli_args_has(args, option) || !sluice_parse_int(args->value[option], &number)) {
        return otherwise;
    }
    return number;
}

static size_t first_word_size(const char *name)
{
    const char *blank = strchr(name, ' ');
    return blank != NULL ? (size_t)(blank - name) : strlen(name);
}

const struct sluice_cli_command *sluice_cli_command_find(const struct sluice_cli_command *commands,
                                                         const char *const *words, size_t count,
                                                         size_t *used)
{
    for (const struct sluice_cli_command *c = commands; count > 0 && c->name != NULL; c++) {
        size_t first = first_word_size(c->name);
        if (strlen(words[0]) != first || memcmp(words[0], c->name, first) != 0) {
            continue;
        }
        if (c->name[first] == '\0') {
            *used = 1;
            return c;
        }
        if (count > 1 && strcmp(words[1], c->name + first + 1) == 0) {
            *used = 2;
            return c;
        }
    }
    return NULL;
}

int sluice_cli_command_shown(const struct sluice_cli_command *command)
{
    return command->name != NULL && command->summary != NULL;
}

int sluice_cli_command_takes(const struct sluice_cli_command *command,
                             const struct sluice_cli_option *option)
{
    return (option->flags & SLUICE_CLI_GLOBAL) != 0 ||
           (command != NULL && (command->options & SLUICE_OPT_BIT(option->id)) != 0);
}

/* The first words of all commands, or the second words of those that begin with `first`. */
static size_t command_words(const struct sluice_cli_command *commands, const char *first,
                            const char **out, char (*copies)[24])
{
    size_t count = 0;
    for (const struct sluice_cli_command *c = commands;
         sluice_cli_command_shown(c) && count < NAMES_MAX; c++) {
        size_t size = first_word_size(c->name);
        const char *word = c->name;
        if (first != NULL) {
            if (strlen(first) != size || memcmp(first, c->name, size) != 0 ||
                c->name[size] == '\0') {
                continue;
            }
            word = c->name + size + 1;
            size = strlen(word);
        }
        if (size >= sizeof copies[0]) {
            continue;
        }
        memcpy(copies[count], word, size);
        copies[count][size] = '\0';
        out[count] = copies[count];
        if (count == 0 || strcmp(out[count - 1], out[count]) != 0) {
            count++;
        }
    }
    return count;
}

static void unknown_command(const struct sluice_cli_command *commands, const char *const *words,
                            size_t count, struct sluice_cli_usage *usage)
{
    const char *names[NAMES_MAX];
    char copies[NAMES_MAX][24];
    size_t seconds = command_words(commands, words[0], names, copies);
    const char *wanted = words[0];
    if (seconds > 0 && count > 1) {
        wanted = words[1];
        sluice_str_printf(&usage->message, "unknown command '%s %s'", words[0], words[1]);
    }
    else if (seconds > 0) {
        sluice_str_printf(&usage->message, "'%s' needs a command of its own:", words[0]);
        for (size_t i = 0; i < seconds; i++) {
            sluice_str_printf(&usage->message, "%s %s", i > 0 ? "," : "", names[i]);
        }
        sluice_str_printf(&usage->hint, "sluice help %s", words[0]);
        return;
    }
    else {
        seconds = command_words(commands, NULL, names, copies);
        sluice_str_printf(&usage->message, "unknown command '%s'", words[0]);
    }
    const char *near = sluice_did_you_mean(wanted, names, seconds);
    if (near != NULL && wanted != words[0]) {
        sluice_str_printf(&usage->hint, "did you mean 'sluice %s %s'?", words[0], near);
    }
    else if (near != NULL) {
        sluice_str_printf(&usage->hint, "did you mean 'sluice %s'?", near);
    }
    else {
        sluice_str_append(&usage->hint, "'sluice help' lists the commands");
    }
}

static const struct sluice_cli_option *option_named(const char *name, size_t size)
{
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const char *own = sluice_cli_options[i].name;
        if (strlen(own) == size && memcmp(own, name, size) == 0) {
            return &sluice_cli_options[i];
        }
    }
    return NULL;
}

static void unknown_option(const struct sluice_cli_command *command, const char *word, size_t size,
                           struct sluice_cli_usage *usage)
{
    const char *names[SLUICE_OPT_COUNT];
    char given[64];
    size_t count = 0;
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        if (command == NULL || sluice_cli_command_takes(command, &sluice_cli_options[i])) {
            names[count++] = sluice_cli_options[i].name;
        }
    }
    sluice_str_printf(&usage->message, "unknown option '%.*s'", (int)(size < 200 ? size : 200),
                      word);
    const char *near = NULL;
    if (size > 2 && size - 2 < sizeof given) {
        memcpy(given, word + 2, size - 2);
        given[size - 2] = '\0';
        near = sluice_did_you_mean(given, names, count);
    }
    if (near != NULL) {
        sluice_str_printf(&usage->hint, "did you mean --%s?", near);
    }
    else {
        sluice_str_printf(&usage->hint, "'sluice help%s%s' lists the options",
                          command != NULL ? " " : "", command != NULL ? command->name : "");
    }
}

static void foreign_option(const struct sluice_cli_command *commands,
                           const struct sluice_cli_command *command,
                           const struct sluice_cli_option *option, struct sluice_cli_usage *usage)
{
    int first = 1;
    sluice_str_printf(&usage->message, "'sluice %s' has no option --%s", command->name,
                      option->name);
    for (const struct sluice_cli_command *c = commands; c->name != NULL; c++) {
        if (sluice_cli_command_takes(c, option)) {
            sluice_str_printf(&usage->hint, "%s%s", first ? "it belongs to: " : ", ", c->name);
            first = 0;
        }
    }
}

static int check_value(const struct sluice_cli_option *option, const char *value,
                       struct sluice_cli_usage *usage)
{
    int64_t number = 0;
    size_t count = 0;
    if (option->max > 0) {
        if (!sluice_parse_int(value, &number) || number < option->min || number > option->max) {
            sluice_str_printf(&usage->message, "--%s: '%.200s' is not a number from %lld to %lld",
                              option->name, value, (long long)option->min, (long long)option->max);
            return 0;
        }
        return 1;
    }
    if (option->choices == NULL) {
        return 1;
    }
    for (count = 0; option->choices[count] != NULL; count++) {
        if (strcmp(option->choices[count], value) == 0) {
            return 1;
        }
    }
    sluice_str_printf(&usage->message, "--%s: '%.200s' is none of", option->name, value);
    for (size_t i = 0; i < count; i++) {
        sluice_str_printf(&usage->message, "%s %s", i > 0 ? "," : "", option->choices[i]);
    }
    const char *near = sluice_did_you_mean(value, option->choices, count);
    if (near != NULL) {
        sluice_str_printf(&usage->hint, "did you mean %s?", near);
    }
    return 0;
}

/* Patterns divided by commas, unless one can hold a comma itself (regular expression, quoted). */
static int add_tables(struct sluice_cli_args *args, const char *value)
{
    if (strncmp(value, "re:", 3) == 0 || strchr(value, '"') != NULL) {
        return list_add(&args->tables, value);
    }
    while (*value != '\0') {
        size_t size = strcspn(value, ",");
        if (size > 0) {
            char *part = sluice_alloc_string_n(value, size);
            if (!list_add(&args->owned, part)) {
                sluice_free(part);
                return 0;
            }
            if (!list_add(&args->tables, part)) {
                return 0;
            }
        }
        value += size + (value[size] == ',' ? 1 : 0);
    }
    return 1;
}

static int store(struct sluice_cli_args *args, const struct sluice_cli_option *option,
                 const char *value)
{
    args->given |= SLUICE_OPT_BIT(option->id);
    args->value[option->id] = value;
    switch (option->id) {
    case SLUICE_OPT_PLUGIN_DIR:
        return list_add(&args->plugin_dirs, value);
    case SLUICE_OPT_SET:
        return list_add(&args->sets, value);
    case SLUICE_OPT_TABLES:
        return add_tables(args, value);
    default:
        return 1;
    }
}

/* One option at argv[*i]; moves *i past its value. */
static int parse_option(struct sluice_cli_args *args, int argc, char *const *argv, int *i,
                        struct sluice_cli_usage *usage)
{
    const char *word = argv[*i];
    const struct sluice_cli_option *option = NULL;
    const char *value = NULL;
    size_t size = strlen(word);
    if (word[1] == '-') {
        const char *equals = strchr(word, '=');
        size = equals != NULL ? (size_t)(equals - word) : size;
        value = equals != NULL ? equals + 1 : NULL;
        option = option_named(word + 2, size - 2);
    }
    else if (word[2] == '\0') {
        for (size_t k = 0; k < SLUICE_OPT_COUNT; k++) {
            if (sluice_cli_options[k].letter == word[1]) {
                option = &sluice_cli_options[k];
            }
        }
    }
    if (option == NULL) {
        unknown_option(args->command, word, size, usage);
        return 0;
    }
    if (option->value == NULL && value != NULL) {
        sluice_str_printf(&usage->message, "--%s takes no value", option->name);
        return 0;
    }
    if (option->value != NULL && value == NULL) {
        if (*i + 1 >= argc) {
            sluice_str_printf(&usage->message, "--%s needs a value: --%s %s", option->name,
                              option->name, option->value);
            return 0;
        }
        value = argv[++*i];
    }
    if (value != NULL && !check_value(option, value, usage)) {
        return 0;
    }
    if (!store(args, option, value)) {
        sluice_str_append(&usage->message, "out of memory");
        return 0;
    }
    return 1;
}

/* Names the command as soon as its words are there, so that messages can speak of it. */
static void find_command(struct sluice_cli_args *args, const struct sluice_cli_command *commands)
{
    size_t used = 0;
    if (args->command == NULL) {
        args->command =
            sluice_cli_command_find(commands, args->words.items, args->words.count, &used);
        if (args->command != NULL) {
            args->words.count -= used;
        }
    }
}

static int check_words(struct sluice_cli_args *args, const struct sluice_cli_command *commands,
                       struct sluice_cli_usage *usage)
{
    const struct sluice_cli_command *command = args->command;
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        if (sluice_cli_args_has(args, (int)i) &&
            !sluice_cli_command_takes(command, &sluice_cli_options[i])) {
            foreign_option(commands, command, &sluice_cli_options[i], usage);
            return 0;
        }
    }
    if (args->words.count < command->min_words) {
        sluice_str_printf(&usage->message, "'sluice %s' needs %s", command->name, command->words);
        sluice_str_printf(&usage->hint, "sluice help %s", command->name);
        return 0;
    }
    if (args->words.count > command->max_words) {
        sluice_str_printf(&usage->message, "'sluice %s' does not know what to do with '%.200s'",
                          command->name, args->words.items[command->max_words]);
        sluice_str_printf(&usage->hint, "usage: sluice %s %s", command->name, command->words);
        return 0;
    }
    return 1;
}

int sluice_cli_args_parse(struct sluice_cli_args *args, int argc, char *const *argv,
                          const struct sluice_cli_command *commands, struct sluice_cli_usage *usage)
{
    int only_words = 0;
    memset(args, 0, sizeof *args);
    memset(usage, 0, sizeof *usage);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = 1;
        }
        else if (!only_words && word[0] == '-' && word[1] != '\0') {
            if (!parse_option(args, argc, argv, &i, usage)) {
                return 0;
            }
        }
        else {
            if (!list_add(&args->words, word)) {
                sluice_str_append(&usage->message, "out of memory");
                return 0;
            }
            find_command(args, commands);
        }
    }
    if (args->command != NULL) {
        return sluice_cli_args_has(args, SLUICE_OPT_HELP) || check_words(args, commands, usage);
    }
    if (args->words.count > 0 && !sluice_cli_args_has(args, SLUICE_OPT_HELP)) {
        unknown_command(commands, args->words.items, args->words.count, usage);
        return 0;
    }
    return 1;
}
