/* A plugin for the loader's tests, right or wrong as the definitions say. */
#include <stddef.h>

#include "sluice/abi.h"
#include "sluice/option.h"
#include "sluice/plugin.h"

#ifndef MODULE_MAGIC
#define MODULE_MAGIC SLUICE_PLUGIN_MAGIC
#endif
#ifndef MODULE_MAJOR
#define MODULE_MAJOR SLUICE_ABI_MAJOR
#endif
#ifndef MODULE_MINOR_MIN
#define MODULE_MINOR_MIN 1u
#endif
#ifndef MODULE_ENVELOPE
#define MODULE_ENVELOPE SLUICE_ENVELOPE_VERSION
#endif
#ifndef MODULE_COMPONENT
#define MODULE_COMPONENT "good"
#endif
#ifdef MODULE_SMALL_TABLES
/* A build of the first day: without the members that came later or are optional at the end. */
#define TABLE_SIZE(type, after) ((uint32_t)offsetof(type, after))
#else
#define TABLE_SIZE(type, after) ((uint32_t)sizeof(type))
#endif

static sluice_status source_create(const struct sluice_host *host, struct sluice_source **out,
                                   struct sluice_error *err)
{
    (void)err;
    *out = NULL;
    host->log(host->ctx, SLUICE_LOG_INFO, MODULE_NAME, sizeof MODULE_NAME - 1);
    return SLUICE_OK;
}

static void source_destroy(struct sluice_source *src)
{
    (void)src;
}

static sluice_status source_check(struct sluice_source *src, const struct sluice_source_plan *plan,
                                  sluice_finding_visit visit, void *vctx, struct sluice_error *err)
{
    (void)src;
    (void)plan;
    (void)visit;
    (void)vctx;
    (void)err;
#ifdef MODULE_UNDEFINED_SYMBOL
    extern int sluice_test_symbol_that_is_nowhere(void);
    return sluice_test_symbol_that_is_nowhere();
#else
    return SLUICE_OK;
#endif
}

static sluice_status source_discover(struct sluice_source *src, sluice_stream_visit visit,
                                     void *vctx, struct sluice_error *err)
{
    (void)src;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status source_open(struct sluice_source *src, const struct sluice_source_plan *plan,
                                 struct sluice_source_info *info, sluice_stream_visit visit,
                                 void *vctx, struct sluice_error *err)
{
    (void)src;
    (void)plan;
    (void)info;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status source_shards(struct sluice_source *src, sluice_shard_visit visit, void *vctx,
                                   struct sluice_error *err)
{
    (void)src;
    (void)visit;
    (void)vctx;
    (void)err;
    return SLUICE_OK;
}

static sluice_status source_reader_open(struct sluice_source *src,
                                        const struct sluice_shard_desc *shard,
                                        struct sluice_bytes resume, struct sluice_reader **out,
                                        struct sluice_error *err)
{
    (void)src;
    (void)shard;
    (void)resume;
    (void)out;
    (void)err;
    return SLUICE_E_UNSUPPORTED;
}

#ifdef MODULE_NO_READER_NEXT
#define source_reader_next NULL
#else
static sluice_status source_reader_next(struct sluice_reader *rd, int64_t timeout_us,
                                        struct sluice_batch *out, struct sluice_error *err)
{
    (void)rd;
    (void)timeout_us;
    (void)out;
    (void)err;
    return SLUICE_END;
}
#endif

static void source_reader_close(struct sluice_reader *rd)
{
    (void)rd;
}

static const struct sluice_source_api source_api = {
    .struct_size = TABLE_SIZE(struct sluice_source_api, shard_done),
    .create = source_create,
    .destroy = source_destroy,
    .check = source_check,
    .cancel = source_destroy,
    .discover = source_discover,
    .open = source_open,
    .shards = source_shards,
    .reader_open = source_reader_open,
    .reader_next = source_reader_next,
    .reader_close = source_reader_close,
};

static const struct sluice_option option_host =
    SLUICE_OPT(SLUICE_OPTION_STRING, "host", NULL, SLUICE_OPTION_REQUIRED, "Where the server is.");
static const struct sluice_option option_port =
    SLUICE_OPT_RANGE(SLUICE_OPTION_INT, "port", "5432", 0, 1, 65535, "Its port.");
static const struct sluice_option *const options[] = {&option_host, &option_port, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SOURCE,
    .caps = SLUICE_SOURCE_LOAD,
    .name = MODULE_COMPONENT,
    .summary = "A source of nothing",
    .options = options,
    .source = &source_api,
};

static const struct sluice_component *const components[] = {
    &component,
#ifdef MODULE_TWICE
    &component,
#endif
};

static const struct sluice_plugin plugin = {
    .magic = MODULE_MAGIC,
    .struct_size = (uint32_t)sizeof(struct sluice_plugin),
    .abi_major = MODULE_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = MODULE_MINOR_MIN,
    .envelope_version = MODULE_ENVELOPE,
    .name = MODULE_NAME,
    .version = "1.2.3",
    .component_count = (uint32_t)(sizeof components / sizeof components[0]),
    .components = components,
};

#if defined(MODULE_NO_SYMBOL)
SLUICE_EXPORT const struct sluice_plugin *some_other_symbol(void);
const struct sluice_plugin *some_other_symbol(void)
{
    return &plugin;
}
#elif defined(MODULE_NULL_DESCRIPTOR)
SLUICE_EXPORT const struct sluice_plugin *sluice_plugin_entry_v0(void);
const struct sluice_plugin *sluice_plugin_entry_v0(void)
{
    return plugin.name != NULL ? NULL : &plugin;
}
#else
SLUICE_PLUGIN_DEFINE(plugin)
#endif
