/* Binding checked options into a plugin's own struct by offset. */
#include "sluice/option.h"

#include <string.h>

static void bind_value(const struct sluice_value *v, char *to)
{
    switch (v->type) {
    case SLUICE_OPTION_STRING: {
        const char *s = v->is_set ? v->string : NULL;
        memcpy(to, &s, sizeof s);
        break;
    }
    case SLUICE_OPTION_BOOL: {
        int32_t b = v->is_set && v->number != 0;
        memcpy(to, &b, sizeof b);
        break;
    }
    case SLUICE_OPTION_LIST: {
        struct sluice_option_list list = {v->is_set ? v->count : 0, v->is_set ? v->items : NULL};
        memcpy(to, &list, sizeof list);
        break;
    }
    case SLUICE_OPTION_MAP: {
        struct sluice_option_map map = {v->is_set ? v->count : 0, v->is_set ? v->pairs : NULL};
        memcpy(to, &map, sizeof map);
        break;
    }
    default: {
        int64_t n = v->is_set ? v->number : -1;
        memcpy(to, &n, sizeof n);
        break;
    }
    }
}

sluice_status sluice_options_bind(const struct sluice_host *host,
                                  const struct sluice_option_binding *bindings, void *dst,
                                  struct sluice_error *err)
{
    for (const struct sluice_option_binding *b = bindings; b->key != NULL; b++) {
        struct sluice_value v;
        memset(&v, 0, sizeof v);
        v.struct_size = (uint32_t)sizeof v;
        sluice_status st = host->config_get(host->ctx, b->key, &v);
        if (st < 0) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                    "option %s: not in the component's option table (%s): a bug of "
                                    "the plugin",
                                    b->key, sluice_status_name(st));
        }
        if (v.type < SLUICE_OPTION_STRING || v.type > SLUICE_OPTION_MAP) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "option %s: unknown type %d", b->key,
                                    v.type);
        }
        bind_value(&v, (char *)dst + b->offset);
    }
    return SLUICE_OK;
}
