/*
 * The token a sink keeps with the data: whose commit it is and where its shard may resume.
 *
 * Bytes: 'S' 'L' 'T' version(1), kind, then epoch and rows as big-endian 64 bits, then pipeline,
 * load id, name (shard id or stream name) and position, each as a big-endian 32-bit length and
 * bytes. [any]
 */
#ifndef SLUICE_FLOW_TOKEN_H
#define SLUICE_FLOW_TOKEN_H

#include "base/str.h"
#include "sluice/abi.h"

enum { SLUICE_TOKEN_LANE = 1, SLUICE_TOKEN_COMPLETE = 2 };

struct sluice_token {
    int32_t kind;
    uint64_t epoch;
    uint64_t rows;
    struct sluice_bytes pipeline; /* all borrowed from the encoded bytes when decoded */
    struct sluice_bytes load_id;
    struct sluice_bytes name;
    struct sluice_bytes position;
};

/* Appends the encoded token to out (look at out->failed). LIMIT if it would pass the cap. */
sluice_status sluice_token_encode(const struct sluice_token *token, struct sluice_str *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* DATA when the bytes are no token of ours. */
sluice_status sluice_token_decode(struct sluice_bytes bytes, struct sluice_token *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;
/* 1 if the field equals the text. */
int sluice_token_field_is(struct sluice_bytes field, const char *text);

#endif /* SLUICE_FLOW_TOKEN_H */
