/*
 * Components and the pipeline file described from their own tables: for the terminal, as JSON, and as
 * the reference page.
 */
#ifndef SLUICE_CLI_DESCRIBE_H
#define SLUICE_CLI_DESCRIBE_H

#include <jansson.h>

#include "sluice/abi.h"
#include "term.h"

/* "string", "duration", "a | b": what an option takes. */
void sluice_cli_describe_type(const struct sluice_option *option, struct sluice_str *out);
void sluice_cli_describe_text(const struct sluice_component *component,
                              const struct sluice_cli_term *term, struct sluice_str *out);
void sluice_cli_describe_markdown(const struct sluice_component *component, struct sluice_str *out);
json_t *sluice_cli_describe_json(const struct sluice_component *component);
/* The keys of a pipeline file that are the engine's, as Markdown, out of its JSON Schema. */
void sluice_cli_describe_pipeline(const json_t *schema, struct sluice_str *out);
/* The capabilities, in words; index from 0, NULL = no more. */
const char *sluice_cli_describe_cap(const struct sluice_component *component, size_t i);

#endif /* SLUICE_CLI_DESCRIBE_H */
