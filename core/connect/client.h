/*
 * Kafka Connect's REST interface (KIP-26, KIP-875; docs of Apache Kafka, "Kafka Connect REST API"): one request, one JSON
 * answer. One thread at a time per client.
 */
#ifndef SLUICE_CONNECT_CLIENT_H
#define SLUICE_CONNECT_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "base/cancel.h"
#include "sluice/error.h"

struct sluice_connect_client;

struct sluice_connect_settings {
    const char
        *url; /* http://host:8083, or https://…, maybe with a path in front of the interface's */
    const char *user;     /* basic authentication; NULL = none */
    const char *password; /* NULL = "" */
    const char *ca_file;  /* that verifies the server; NULL = the system's */
    int64_t timeout_us;   /* of a request, and of trying again while the workers rebalance */
};

/* No I/O. Copies the settings; `cancel` is borrowed, may be NULL. INVALID: the URL, with a hint. */
sluice_status sluice_connect_open(const struct sluice_connect_settings *settings,
                                  struct sluice_cancel *cancel, struct sluice_connect_client **out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* NULL is allowed. */
void sluice_connect_close(struct sluice_connect_client *client);
/* The URL as it was given; borrowed. */
const char *sluice_connect_url(const struct sluice_connect_client *client);

/* `path` begins with '/' and is escaped already; `body` is borrowed, NULL = none. *answer is owned by the caller, NULL when
 * there was none. A 409 (the workers are at another thing) is tried again until the timeout.
 * NOT_FOUND 404, INVALID 400 and 422, AUTH 401 and 403, CONFLICT 409, UNAVAILABLE: nobody answers, or 5xx from
 * whoever stands before it; IO: other 5xx; DATA: an answer that is not Connect's. native_code is the HTTP status. */
sluice_status sluice_connect_call(struct sluice_connect_client *client, const char *method,
                                  const char *path, const json_t *body, json_t **answer,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

/* "/connectors/NAME/REST" with the name escaped; free with sluice_free. NULL = out of memory. */
char *sluice_connect_path(const char *name, const char *rest);

#endif /* SLUICE_CONNECT_CLIENT_H */
