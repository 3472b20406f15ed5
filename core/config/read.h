/*
 * Reading small files whole.
 */
#ifndef SLUICE_CONFIG_READ_H
#define SLUICE_CONFIG_READ_H

#include <stddef.h>

#include "sluice/error.h"

/* Reads at most cap + 1 bytes: *out_size > cap tells that the file is larger. private_only: refuses
 * (PERMISSION) what group or others have any right to, and what is no regular file. *out ends with a
 * NUL beyond its size; free with sluice_free_secret. */
sluice_status sluice_config_file_read(const char *path, size_t cap, int private_only, char **out,
                                      size_t *out_size, struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_CONFIG_READ_H */
