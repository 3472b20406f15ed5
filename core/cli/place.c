#include "place.h"

#include <string.h>

#include "base/alloc.h"

void sluice_cli_place_free(struct sluice_cli_place *place)
{
    if (place->pipeline != NULL) {
        sluice_pipeline_free(place->pipeline);
    }
    sluice_free(place->uri);
    memset(place, 0, sizeof *place);
}

int sluice_cli_place_find(struct sluice_cli *cli, struct sluice_cli_place *place)
{
    struct sluice_str uri = SLUICE_STR_INIT;
    const char *folder = cli->args.value[SLUICE_OPT_STATE];
    const char *word = cli->args.words.count > 0 ? cli->args.words.items[0] : NULL;
    memset(place, 0, sizeof *place);
    if (folder != NULL) {
        sluice_str_printf(&uri, "%s%s", strncmp(folder, "file:", 5) == 0 ? "" : "file:", folder);
        place->uri = sluice_str_steal(&uri);
        place->name = word;
        return place->uri != NULL ? SLUICE_EXIT_OK : sluice_cli_error_nomem(cli);
    }
    if (word == NULL) {
        return SLUICE_EXIT_OK;
    }
    int code = sluice_cli_pipeline_open(cli, word, &place->pipeline);
    if (code == SLUICE_EXIT_OK) {
        place->name = place->pipeline->name;
        place->uri = sluice_alloc_string(place->pipeline->state_uri);
    }
    return code;
}

int sluice_cli_place_empty(struct sluice_cli *cli, const struct sluice_cli_place *place)
{
    struct sluice_str message = SLUICE_STR_INIT;
    sluice_str_printf(&message, "pipeline %s has no state%s%s", place->name,
                      place->uri != NULL ? " in " : "", place->uri != NULL ? place->uri : "");
    sluice_cli_error(
        cli, SLUICE_E_NOT_FOUND, sluice_str_text(&message),
        "it has not run yet, or its state is kept elsewhere; 'sluice state list' lists "
        "what there is");
    sluice_str_free(&message);
    return SLUICE_EXIT_ENVIRONMENT;
}
