/*
 * What a SQL Server says, as struct sluice_error: status, whether trying again helps, and a hint.
 */
#ifndef SLUICE_COMMON_TDS_ERROR_H
#define SLUICE_COMMON_TDS_ERROR_H

#include <stdint.h>

#include "sluice/error.h"

/* A message of the server (number > 0), or of the client library (number 0, then `client` is its own). */
struct sluice_tds_message {
    int32_t number;
    int32_t severity;
    int32_t state;
    int32_t client;   /* SYBE… */
    int32_t in_login; /* there is no connection yet */
    char text[512];
};

/* Sets `err` from it; `what` names object and operation. Never OK. */
sluice_status sluice_tds_error(struct sluice_error *err, const struct sluice_tds_message *message,
                               const char *what);

#endif /* SLUICE_COMMON_TDS_ERROR_H */
