/*
 * The checked options of one component instance: what host->config_get answers from.
 */
#ifndef SLUICE_CONFIG_OPTIONS_H
#define SLUICE_CONFIG_OPTIONS_H

#include "config/diag.h"
#include "config/yaml.h"
#include "sluice/abi.h"

struct sluice_config; /* owns its strings; secrets are wiped when freed */

/* Checks the mapping `node` (NULL = empty) against `options` (NULL-terminated) and fills defaults.
 * All problems go to `diags` with place and path; returns NULL only when out of memory. `path` is
 * that of the mapping. SECRET values are registered for redaction. */
struct sluice_config *sluice_config_check(const struct sluice_option *const *options,
                                          const struct sluice_yaml *node, const char *path,
                                          struct sluice_diags *diags);
/* An instance from pairs of text, as if written in YAML (tests, `discover --plugin`). */
struct sluice_config *sluice_config_from_pairs(const struct sluice_option *const *options,
                                               const struct sluice_pair *pairs, size_t count,
                                               struct sluice_diags *diags);
void sluice_config_free(struct sluice_config *config);
/* NOT_FOUND: no such key. [any] */
sluice_status sluice_config_get(const struct sluice_config *config, const char *key,
                                struct sluice_value *out);
/* Visits every set option as text, secrets as "***", defaults marked. */
void sluice_config_each(const struct sluice_config *config,
                        void (*visit)(void *ctx, const char *key, const char *text, int is_default),
                        void *ctx);

/* Parsers of the scalar forms; also used for --set and engine-owned keys. 0 = not of that form. */
int sluice_parse_duration(const char *text, int64_t *us); /* 500us 200ms 10s 5m 1h 1d */
int sluice_parse_size(const char *text, int64_t *bytes);  /* 512 8KB 64MiB 1GB */
int sluice_parse_int(const char *text, int64_t *value);
int sluice_parse_bool(const char *text, int *value); /* true false yes no on off */

#endif /* SLUICE_CONFIG_OPTIONS_H */
