/* Copies of the option tables, and whether they make sense. */
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "config/options.h"
#include "plugin/plugin_internal.h"

#define OPTION_FLAGS_KNOWN                                               \
    ((uint32_t)SLUICE_OPTION_REQUIRED | (uint32_t)SLUICE_OPTION_SECRET | \
     (uint32_t)SLUICE_OPTION_DEPRECATED | (uint32_t)SLUICE_OPTION_ADVANCED)

static int choice_index(const struct sluice_option *option, const char *text)
{
    for (int i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], text) == 0) {
            return i;
        }
    }
    return -1;
}

/* 1 if the default can be read as the option's type; *number as bounds see it. LIST and MAP are
 * checked where they are used, by the YAML reader. */
static int default_parses(const struct sluice_option *option, int64_t *number)
{
    int flag = 0;
    switch (option->type) {
    case SLUICE_OPTION_INT:
        return sluice_parse_int(option->default_value, number);
    case SLUICE_OPTION_BOOL:
        return sluice_parse_bool(option->default_value, &flag);
    case SLUICE_OPTION_DURATION:
        return sluice_parse_duration(option->default_value, number);
    case SLUICE_OPTION_SIZE:
        return sluice_parse_size(option->default_value, number);
    case SLUICE_OPTION_ENUM:
        return choice_index(option, option->default_value) >= 0;
    default:
        return 1;
    }
}

static sluice_status default_check(const struct sluice_option *option, const char *component,
                                   struct sluice_error *err)
{
    int64_t number = 0;
    if (option->default_value == NULL) {
        return SLUICE_OK;
    }
    if ((option->flags & SLUICE_OPTION_REQUIRED) != 0) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s: option %s is REQUIRED and has a default: drop one",
                                component, option->key);
    }
    if (!default_parses(option, &number)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s: default \"%s\" of option %s is not of its type",
                                component, option->default_value, option->key);
    }
    int numeric = option->type == SLUICE_OPTION_INT || option->type == SLUICE_OPTION_DURATION ||
                  option->type == SLUICE_OPTION_SIZE;
    int bounded = option->max >= option->min && (option->min != 0 || option->max != 0);
    if (numeric && bounded && (number < option->min || number > option->max)) {
        return sluice_error_set(
            err, SLUICE_E_INVALID, 0,
            "component %s: default \"%s\" of option %s is outside %" PRId64 " … %" PRId64,
            component, option->default_value, option->key, option->min, option->max);
    }
    return SLUICE_OK;
}

static sluice_status choices_check(const struct sluice_option *option, const char *component,
                                   struct sluice_error *err)
{
    size_t count = 0;
    if (option->type != SLUICE_OPTION_ENUM) {
        return SLUICE_OK;
    }
    while (option->choices != NULL && count <= SLUICE_PLUGIN_CHOICES_MAX &&
           option->choices[count] != NULL) {
        count++;
    }
    if (count == 0 || count > SLUICE_PLUGIN_CHOICES_MAX) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s: option %s is an ENUM with %s choices; it needs 1 to "
                                "%d, ended by NULL",
                                component, option->key, count == 0 ? "no" : "too many",
                                SLUICE_PLUGIN_CHOICES_MAX);
    }
    return SLUICE_OK;
}

/* `option` is the full-size copy; those before it are `seen`. */
static sluice_status option_check(const struct sluice_option *option,
                                  const struct sluice_option *seen, size_t seen_count,
                                  const char *component, struct sluice_error *err)
{
    if (!sluice_plugin_name_valid(option->key)) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "component %s: option number %zu has the key \"%s\"; keys are "
                                "lower_snake_case",
                                component, seen_count + 1, option->key != NULL ? option->key : "");
    }
    for (size_t i = 0; i < seen_count; i++) {
        if (strcmp(seen[i].key, option->key) == 0) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "component %s: option %s is there twice: drop one", component,
                                    option->key);
        }
    }
    if (option->type < SLUICE_OPTION_STRING || option->type > SLUICE_OPTION_MAP) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "component %s: option %s has type %" PRId32
                                ", this engine knows 1 to %d: use a newer engine",
                                component, option->key, option->type, SLUICE_OPTION_MAP);
    }
    if ((option->flags & ~OPTION_FLAGS_KNOWN) != 0 || option->reserved != 0) {
        return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                "component %s: option %s has flags 0x%x that this engine does not "
                                "know: use a newer engine",
                                component, option->key, option->flags);
    }
    SLUICE_TRY(choices_check(option, component, err));
    return default_check(option, component, err);
}

static size_t options_count(const struct sluice_component *from)
{
    size_t count = 0;
    while (from->options != NULL && count <= SLUICE_PLUGIN_OPTIONS_MAX &&
           from->options[count] != NULL) {
        count++;
    }
    return count;
}

sluice_status sluice_loaded_options_copy(struct sluice_loaded_component *to,
                                         const struct sluice_component *from,
                                         struct sluice_error *err)
{
    size_t count = options_count(from);
    if (count > SLUICE_PLUGIN_OPTIONS_MAX) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0,
                                "component %s has more than %d options, or its table lacks the "
                                "closing NULL",
                                from->name, SLUICE_PLUGIN_OPTIONS_MAX);
    }
    to->options = sluice_alloc_zero(count, sizeof *to->options);
    to->option_list = sluice_alloc_zero(count + 1, sizeof(const struct sluice_option *));
    if (to->options == NULL || to->option_list == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "component %s: out of memory", from->name);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t size = from->options[i]->struct_size;
        struct sluice_option *option = &to->options[i];
        if (size < SLUICE_V0_OPTION_SIZE) {
            return sluice_error_set(err, SLUICE_E_UNSUPPORTED, 0,
                                    "component %s: option number %zu has struct_size %u, ABI %u "
                                    "needs at least %u",
                                    from->name, i + 1, size, SLUICE_ABI_MAJOR,
                                    SLUICE_V0_OPTION_SIZE);
        }
        memcpy(option, from->options[i], size < sizeof *option ? size : sizeof *option);
        option->struct_size = (uint32_t)sizeof *option;
        option->help = option->help != NULL ? option->help : "";
        SLUICE_TRY(option_check(option, to->options, i, from->name, err));
        to->option_list[i] = option;
    }
    to->component.options = to->option_list;
    return SLUICE_OK;
}
