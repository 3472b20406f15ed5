/*
 * Matching names of tables and columns. SDK; [any].
 */
#ifndef SLUICE_PATTERN_H
#define SLUICE_PATTERN_H

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 if `text` matches the glob: `*` any, `?` one byte, `[a-z]` and `[!a-z]` sets, no escapes; the
 * same globs as in `tables:` of a pipeline. */
int32_t sluice_pattern_match(const char *glob, const char *text);

/* A column pattern: a column name or glob, perhaps with a table glob before the last dot outside
 * quotes. A quoted column part is an exact name. Parts point into the text, which is borrowed. */
struct sluice_column_pattern {
    const char *text;
    uint64_t table_size; /* 0 = every table; text begins with the table glob */
    const char *column;
};

/* Splits a pattern; INVALID when the column part is empty or a quote is not closed. */
sluice_status sluice_column_pattern_parse(const char *text, struct sluice_column_pattern *out,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;
/* 1 if the table part matches the stream name. */
int32_t sluice_column_pattern_table(const struct sluice_column_pattern *pattern,
                                    const char *stream);
/* 1 if the column part matches the column name. */
int32_t sluice_column_pattern_column(const struct sluice_column_pattern *pattern,
                                     const char *column);

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_PATTERN_H */
