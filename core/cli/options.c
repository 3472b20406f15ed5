#include "options.h"

#include "until.h"

static int wrong(struct sluice_cli *cli, const char *message, const char *hint)
{
    sluice_cli_error(cli, SLUICE_E_INVALID, message, hint);
    return SLUICE_EXIT_CONFIG;
}

int sluice_cli_options_read(struct sluice_cli *cli, struct sluice_str *until)
{
    const char *given = cli->args.value[SLUICE_OPT_UNTIL];
    int once = sluice_cli_args_has(&cli->args, SLUICE_OPT_ONCE);
    struct sluice_str why = SLUICE_STR_INIT;
    struct sluice_str message = SLUICE_STR_INIT;
    int code = SLUICE_EXIT_OK;
    if (once && sluice_cli_args_has(&cli->args, SLUICE_OPT_FOLLOW)) {
        return wrong(cli, "--once and --follow exclude each other", NULL);
    }
    if (once && given != NULL) {
        return wrong(cli, "--once and --until exclude each other",
                     "--once ends where the source's log ends at the start, --until where you say");
    }
    if (given != NULL && !sluice_cli_until_read(given, until, &why)) {
        sluice_str_printf(&message, "--until: %s: %s", given, sluice_str_text(&why));
        code = wrong(cli, sluice_str_text(&message), NULL);
    }
    else if (until->failed) {
        code = sluice_cli_error_nomem(cli);
    }
    sluice_str_free(&message);
    sluice_str_free(&why);
    return code;
}

/* "p: --follow: …" */
static int unfit(struct sluice_cli *cli, const struct sluice_pipeline *pipeline, const char *option,
                 const char *why, const char *hint)
{
    struct sluice_str message = SLUICE_STR_INIT;
    sluice_str_printf(&message, "%s: %s: %s", pipeline->name, option, why);
    int code = wrong(cli, sluice_str_text(&message), hint);
    sluice_str_free(&message);
    return code;
}

int sluice_cli_options_fit(struct sluice_cli *cli, const struct sluice_pipeline *pipeline)
{
    const struct sluice_cli_args *args = &cli->args;
    static const char no_changes[] = "mode full_load_only has no changes";
    static const char set_mode[] = "set mode: full_load_and_cdc, or leave the option out";
    if (pipeline->mode == SLUICE_MODE_FULL_LOAD_ONLY) {
        if (sluice_cli_args_has(args, SLUICE_OPT_FOLLOW)) {
            return unfit(cli, pipeline, "--follow", no_changes, set_mode);
        }
        if (sluice_cli_args_has(args, SLUICE_OPT_UNTIL)) {
            return unfit(cli, pipeline, "--until", no_changes, set_mode);
        }
        return SLUICE_EXIT_OK;
    }
    if (sluice_cli_args_has(args, SLUICE_OPT_LIMIT)) {
        return unfit(
            cli, pipeline, "--limit", "changes of rows that were not loaded would follow",
            "'sluice preview' shows the first rows; --set mode=full_load_only loads a part");
    }
    if (sluice_cli_args_has(args, SLUICE_OPT_TABLES)) {
        return unfit(
            cli, pipeline, "--tables",
            "a feed is read once for all tables that the file chooses: the changes of those "
            "left out would be lost",
            "change tables.include in the file; or --set mode=full_load_only loads a part");
    }
    return SLUICE_EXIT_OK;
}

int sluice_cli_options_end(const struct sluice_cli *cli, const struct sluice_pipeline *pipeline)
{
    return pipeline->mode == SLUICE_MODE_FULL_LOAD_ONLY ||
           sluice_cli_args_has(&cli->args, SLUICE_OPT_ONCE) ||
           sluice_cli_args_has(&cli->args, SLUICE_OPT_UNTIL);
}

const char *sluice_cli_changes_text(const struct sluice_pipeline *pipeline)
{
    int source = 0;
    int others = 1;
    if (pipeline->mode != SLUICE_MODE_FULL_LOAD_ONLY) {
        return NULL;
    }
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        uint64_t caps = node->component->caps;
        source |= node->kind == SLUICE_SOURCE && (caps & SLUICE_SOURCE_CHANGES) != 0;
        others &= node->kind == SLUICE_SOURCE      ? (caps & SLUICE_SOURCE_CHANGES) != 0
                  : node->kind == SLUICE_TRANSFORM ? (caps & SLUICE_TRANSFORM_CHANGES) != 0
                                                   : (caps & SLUICE_SINK_CHANGES) != 0;
    }
    if (!source) {
        return NULL;
    }
    return others ? "mode full_load_only: changes are not captured; set mode: full_load_and_cdc to "
                    "follow them after the load"
                  : "mode full_load_only: changes are not captured; mode: full_load_and_cdc would "
                    "follow them, with sources, transforms and sinks that can take changes";
}
