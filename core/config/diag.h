/*
 * Findings about a configuration file: collected, never stopped at the first.
 */
#ifndef SLUICE_CONFIG_DIAG_H
#define SLUICE_CONFIG_DIAG_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

enum { SLUICE_DIAG_ERROR = 1, SLUICE_DIAG_WARN = 2 };

/* So many are kept, the rest is only counted: a page of findings is read, ten thousand are not. */
enum { SLUICE_DIAGS_MAX = 200 };

struct sluice_diag {
    int32_t severity;
    uint32_t line; /* from 1; 0 = no place */
    uint32_t column;
    char *path;    /* "sinks.lake.config.bucket" */
    char *message; /* what is wrong */
    char *hint;    /* did you mean …, what to do; NULL = none */
};

struct sluice_diags {
    char *file;
    struct sluice_diag *items;
    size_t count;
    size_t cap;
    size_t errors;
    size_t warnings;
};

void sluice_diags_init(struct sluice_diags *diags, const char *file);
void sluice_diags_free(struct sluice_diags *diags);
/* path and hint may be NULL. Copies all. Out of memory: the finding is counted but not kept, so that
 * `errors` never reads 0 after an error. */
void sluice_diags_add(struct sluice_diags *diags, int32_t severity, uint32_t line, uint32_t column,
                      const char *path, const char *hint, const char *format, ...)
    SLUICE_PRINTF(7, 8);
/* Sorted by place; those without a place come last. */
void sluice_diags_sort(struct sluice_diags *diags);

#endif /* SLUICE_CONFIG_DIAG_H */
