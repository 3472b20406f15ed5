/* retire: dropping what a pipeline made at its sources. */
#include <string.h>

#include "cli.h"
#include "confirm.h"
#include "finding.h"
#include "flow/lag.h"
#include "state_part.h"
#include "text.h"

struct retire {
    struct sluice_cli *cli;
    const struct sluice_pipeline *pipeline;
    const char *node; /* of the finding before */
    size_t found;
};

static void visit(void *ctx, const char *node, const struct sluice_finding *finding)
{
    struct retire *retire = ctx;
    int is_new = retire->node == NULL || strcmp(retire->node, node) != 0;
    retire->node = node; /* the pipeline's */
    retire->found++;
    sluice_cli_finding(retire->cli, retire->pipeline, node, is_new, finding);
}

static int can_change(const struct sluice_pipeline *pipeline)
{
    for (size_t i = 0; i < pipeline->node_count; i++) {
        const struct sluice_pipeline_node *node = &pipeline->nodes[i];
        if (node->kind == SLUICE_SOURCE && (node->component->caps & SLUICE_SOURCE_CHANGES) != 0) {
            return 1;
        }
    }
    return 0;
}

/* Says what will be dropped, and asks. Exit code. */
static int ask(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
               struct sluice_state *state, int *go)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    if (state != NULL && sluice_cli_state_created(state, pipeline, &text, NULL, &err) < 0) {
        sluice_str_free(&text);
        return sluice_cli_error_report(cli, pipeline->name, &err);
    }
    if (text.size == 0) {
        sluice_str_append(&text,
                          "nothing that was made at the sources is remembered: they are asked "
                          "whether something stands there\n");
    }
    sluice_str_append(&text, "once it is dropped, the sources let go of the changes since the last "
                             "run; nothing brings them back\n");
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
    return sluice_cli_confirm(cli, "Drop it? [y/N] ", "say --yes if it is to be dropped", go);
}

static int retire_all(struct sluice_cli *cli, const struct sluice_pipeline *pipeline,
                      struct sluice_state *state)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_str text = SLUICE_STR_INIT;
    struct retire retire = {.cli = cli, .pipeline = pipeline};
    size_t failed = 0;
    if (sluice_flow_retire(pipeline, state, &cli->cancel, visit, &retire, &failed, &err) < 0) {
        return sluice_cli_error_report(cli, pipeline->name, &err);
    }
    if (failed > 0) {
        sluice_str_printf(&text, "%s: %zu error%s: run it again when they are mended",
                          pipeline->name, failed, failed == 1 ? "" : "s");
        sluice_cli_error(cli, SLUICE_E_UNAVAILABLE, sluice_str_text(&text), NULL);
        sluice_str_free(&text);
        return SLUICE_EXIT_ENVIRONMENT;
    }
    if (retire.found == 0) {
        sluice_str_append(&text, "nothing was there to drop\n");
    }
    sluice_str_printf(&text, "to run %s again, begin anew: sluice state reset ", pipeline->name);
    sluice_cli_text_escape(&text, cli->args.words.items[0]);
    sluice_str_append_char(&text, '\n');
    sluice_cli_out(cli, &text);
    sluice_str_free(&text);
    return SLUICE_EXIT_OK;
}

/* To write, so that it is not done while the pipeline runs. One that never ran gets no state by this:
 * *out stays NULL. */
static sluice_status open_state(const struct sluice_pipeline *pipeline, struct sluice_state **out,
                                struct sluice_error *err)
{
    SLUICE_TRY(
        sluice_cli_state_open(pipeline->state_uri, pipeline->name, SLUICE_STATE_READ, out, err));
    if (*out == NULL) {
        return SLUICE_OK;
    }
    sluice_state_close(*out);
    return sluice_cli_state_open(pipeline->state_uri, pipeline->name, SLUICE_STATE_RUN, out, err);
}

int sluice_cli_retire(struct sluice_cli *cli)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pipeline *pipeline = NULL;
    struct sluice_state *state = NULL;
    struct sluice_str text = SLUICE_STR_INIT;
    int go = 0;
    int code = sluice_cli_pipeline_open(cli, cli->args.words.items[0], &pipeline);
    if (code != SLUICE_EXIT_OK) {
        return code;
    }
    if (cli->json) {
        (void)json_object_set_new(cli->result, "findings", json_array());
    }
    if (!can_change(pipeline)) {
        sluice_str_append(&text, "the sources of this pipeline leave nothing behind\n");
        sluice_cli_out(cli, &text);
        goto out;
    }
    if (open_state(pipeline, &state, &err) < 0) {
        code = sluice_cli_error_report(cli, pipeline->name, &err);
        goto out;
    }
    code = ask(cli, pipeline, state, &go);
    if (go) {
        code = retire_all(cli, pipeline, state);
    }
out:
    sluice_str_free(&text);
    if (state != NULL) {
        sluice_state_close(state);
    }
    sluice_pipeline_free(pipeline);
    return code;
}
