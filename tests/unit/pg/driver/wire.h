/*
 * What the files of pg_wire share.
 */
#ifndef SLUICE_TEST_PG_WIRE_H
#define SLUICE_TEST_PG_WIRE_H

#include "host.h"
#include "pg/conn.h"

const struct sluice_host *wire_host(void);
/* The value of `key=value` among the arguments; NULL = not given. */
const char *wire_get(char *const *args, const char *key);
/* Writes the error to standard error; 1. */
int wire_complain(const char *what, const struct sluice_error *err);

int wire_values(const struct sluice_pg_settings *settings, struct sluice_pg_registry *registry);
int wire_stream(const struct sluice_pg_settings *settings, struct sluice_pg_registry *registry,
                char *const *args);

#endif /* SLUICE_TEST_PG_WIRE_H */
