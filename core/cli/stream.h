/*
 * Stream descriptions for people and for JSON: shared by plan and discover.
 */
#ifndef SLUICE_CLI_STREAM_H
#define SLUICE_CLI_STREAM_H

#include <jansson.h>

#include "sluice/abi.h"
#include "table.h"

const char *sluice_cli_stream_kind(int32_t kind);
/* "id, name" */
void sluice_cli_stream_key(const struct sluice_stream_desc *desc, struct sluice_str *out);
/* 1 if column i is one of the key. */
int sluice_cli_stream_is_key(const struct sluice_stream_desc *desc, uint64_t i);
/* "timestamp[us, UTC]" of a column; nested types with their parts. */
void sluice_cli_stream_type(const struct ArrowSchema *column, struct sluice_str *out);
/* A table of the columns. */
void sluice_cli_stream_columns(const struct sluice_stream_desc *desc,
                               const struct sluice_cli_term *term, struct sluice_str *out);
/* Adds what is known of the stream to `object`; columns too if asked for. */
void sluice_cli_stream_json(const struct sluice_stream_desc *desc, int columns, json_t *object);
int64_t sluice_cli_stream_width(const struct sluice_stream_desc *desc);

#endif /* SLUICE_CLI_STREAM_H */
