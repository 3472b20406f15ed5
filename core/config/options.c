/* The checked options of one component: storage and answers. The checks are in check.c. */
#include "config/options.h"

#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "config/slots.h"

struct sluice_config *sluice_config_new(const struct sluice_option *const *options)
{
    struct sluice_config *config = (struct sluice_config *)sluice_alloc_zero(1, sizeof *config);
    size_t count = 0;
    if (config == NULL) {
        return NULL;
    }
    while (options != NULL && options[count] != NULL) {
        count++;
    }
    config->slots = (struct sluice_slot *)sluice_alloc_zero(count, sizeof *config->slots);
    if (config->slots == NULL) {
        sluice_free(config);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        config->slots[i].option = options[i];
        config->slots[i].value.struct_size = (uint32_t)sizeof(struct sluice_value);
        config->slots[i].value.type = options[i]->type;
    }
    config->count = count;
    return config;
}

static void free_text(const char *text)
{
    /* Secret or not: wiping costs nothing here. */
    sluice_free_secret((void *)(uintptr_t)text, text != NULL ? strlen(text) : 0);
}

void sluice_slot_clear(struct sluice_slot *slot)
{
    for (size_t i = 0; i < slot->used; i++) {
        if (slot->items != NULL) {
            free_text(slot->items[i]);
        }
        if (slot->pairs != NULL) {
            free_text(slot->pairs[i].key);
            free_text(slot->pairs[i].value);
        }
    }
    sluice_free((void *)slot->items);
    sluice_free(slot->pairs);
    free_text(slot->text);
    slot->items = NULL;
    slot->pairs = NULL;
    slot->text = NULL;
    slot->used = 0;
    slot->is_default = 0;
    memset(&slot->value, 0, sizeof slot->value);
    slot->value.struct_size = (uint32_t)sizeof slot->value;
    slot->value.type = slot->option->type;
}

void sluice_config_free(struct sluice_config *config)
{
    if (config == NULL) {
        return;
    }
    for (size_t i = 0; i < config->count; i++) {
        sluice_slot_clear(&config->slots[i]);
    }
    sluice_free(config->slots);
    sluice_free(config);
}

static const struct sluice_slot *find_slot(const struct sluice_config *config, const char *key)
{
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->slots[i].option->key, key) == 0) {
            return &config->slots[i];
        }
    }
    return NULL;
}

sluice_status sluice_config_get(const struct sluice_config *config, const char *key,
                                struct sluice_value *out)
{
    const struct sluice_slot *slot = find_slot(config, key);
    if (slot == NULL) {
        return SLUICE_E_NOT_FOUND;
    }
    /* A plugin of another minor may know a shorter or longer struct. */
    uint32_t size = out->struct_size;
    uint32_t known = size < sizeof *out ? size : (uint32_t)sizeof *out;
    memcpy(out, &slot->value, known);
    out->struct_size = size;
    return SLUICE_OK;
}

struct sluice_value sluice_config_value(const struct sluice_config *config, const char *key)
{
    struct sluice_value value;
    memset(&value, 0, sizeof value);
    value.struct_size = (uint32_t)sizeof value;
    if (config != NULL) {
        (void)sluice_config_get(config, key, &value);
    }
    return value;
}

static void append_list(struct sluice_str *text, const struct sluice_slot *slot)
{
    sluice_str_append_char(text, '[');
    for (size_t i = 0; i < slot->used; i++) {
        sluice_str_append(text, i > 0 ? ", " : "");
        sluice_url_append_shown(text, slot->items[i]);
    }
    sluice_str_append_char(text, ']');
}

static void append_map(struct sluice_str *text, const struct sluice_slot *slot)
{
    sluice_str_append_char(text, '{');
    for (size_t i = 0; i < slot->used; i++) {
        sluice_str_printf(text, "%s%s: ", i > 0 ? ", " : "", slot->pairs[i].key);
        sluice_url_append_shown(text, slot->pairs[i].value);
    }
    sluice_str_append_char(text, '}');
}

void sluice_config_each(const struct sluice_config *config,
                        void (*visit)(void *ctx, const char *key, const char *text, int is_default),
                        void *ctx)
{
    for (size_t i = 0; i < config->count; i++) {
        const struct sluice_slot *slot = &config->slots[i];
        struct sluice_str text = SLUICE_STR_INIT;
        if (!slot->value.is_set) {
            continue;
        }
        if ((slot->option->flags & SLUICE_OPTION_SECRET) != 0) {
            sluice_str_append(&text, "***");
        }
        else if (slot->option->type == SLUICE_OPTION_LIST) {
            append_list(&text, slot);
        }
        else if (slot->option->type == SLUICE_OPTION_MAP) {
            append_map(&text, slot);
        }
        else {
            sluice_url_append_shown(&text, slot->text);
        }
        visit(ctx, slot->option->key, sluice_str_text(&text), slot->is_default);
        sluice_str_free(&text);
    }
}
