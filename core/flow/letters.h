/*
 * Rows that sinks refused and kept: listed, written again. Short-lived instances. [ctl]
 */
#ifndef SLUICE_FLOW_LETTERS_H
#define SLUICE_FLOW_LETTERS_H

#include "base/cancel.h"
#include "config/pipeline.h"
#include "sluice/error.h"

typedef sluice_status (*sluice_flow_letter_visit)(void *ctx, const char *sink,
                                                  const struct sluice_letter *letter);
/* Letters of all sinks that keep some; of one stream, with id >= `from`, if asked. `kept` says how many sinks keep
 * letters at all. */
sluice_status sluice_flow_letters(const struct sluice_pipeline *pipeline, const char *stream,
                                  uint64_t from, struct sluice_cancel *cancel,
                                  sluice_flow_letter_visit visit, void *ctx, size_t *kept,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* Writes one letter of a sink again; `row` replaces what it holds (NULL = as it is). */
sluice_status sluice_flow_replay(const struct sluice_pipeline *pipeline, const char *sink,
                                 uint64_t id, const char *row, struct sluice_cancel *cancel,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_FLOW_LETTERS_H */
