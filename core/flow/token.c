#include "flow/token.h"

#include <string.h>

#include "base/limits.h"
#include "sluice/position.h"

#define TOKEN_VERSION 1
#define TOKEN_HEAD 21u /* magic 3, version 1, kind 1, epoch 8, rows 8 */

static void put_field(struct sluice_str *out, struct sluice_bytes field)
{
    uint8_t size[4];
    sluice_put_be32(size, (uint32_t)field.size);
    sluice_str_append_n(out, (const char *)size, sizeof size);
    sluice_str_append_n(out, field.data, field.size);
}

sluice_status sluice_token_encode(const struct sluice_token *token, struct sluice_str *out,
                                  struct sluice_error *err)
{
    uint64_t total = TOKEN_HEAD + 16u + token->pipeline.size + token->load_id.size +
                     token->name.size + token->position.size;
    if (total > SLUICE_LIMIT_TOKEN_BYTES) {
        return sluice_error_set(err, SLUICE_E_LIMIT, 0, "token of %llu bytes is over the cap of %u",
                                (unsigned long long)total, SLUICE_LIMIT_TOKEN_BYTES);
    }
    uint8_t head[TOKEN_HEAD] = {'S', 'L', 'T', TOKEN_VERSION, (uint8_t)token->kind};
    sluice_put_be64(head + 5, token->epoch);
    sluice_put_be64(head + 13, token->rows);
    sluice_str_append_n(out, (const char *)head, sizeof head);
    put_field(out, token->pipeline);
    put_field(out, token->load_id);
    put_field(out, token->name);
    put_field(out, token->position);
    if (out->failed) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a token");
    }
    return SLUICE_OK;
}

/* Takes one field off [*p, end); 0 = it does not fit. */
static int take_field(const uint8_t **p, const uint8_t *end, struct sluice_bytes *out)
{
    if (end - *p < 4) {
        return 0;
    }
    uint32_t size = sluice_get_be32(*p);
    *p += 4;
    if ((uint64_t)(end - *p) < size) {
        return 0;
    }
    out->data = *p;
    out->size = size;
    *p += size;
    return 1;
}

sluice_status sluice_token_decode(struct sluice_bytes bytes, struct sluice_token *out,
                                  struct sluice_error *err)
{
    const uint8_t *p = bytes.data;
    if (p == NULL || bytes.size < TOKEN_HEAD || bytes.size > SLUICE_LIMIT_TOKEN_BYTES ||
        memcmp(p, "SLT", 3) != 0) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "not a token of this engine");
    }
    if (p[3] != TOKEN_VERSION) {
        return sluice_error_set(err, SLUICE_E_DATA, 0,
                                "token version %d is not known: written by a newer engine", p[3]);
    }
    const uint8_t *end = p + bytes.size;
    struct sluice_token token = {.kind = p[4]};
    token.epoch = sluice_get_be64(p + 5);
    token.rows = sluice_get_be64(p + 13);
    p += TOKEN_HEAD;
    if (!take_field(&p, end, &token.pipeline) || !take_field(&p, end, &token.load_id) ||
        !take_field(&p, end, &token.name) || !take_field(&p, end, &token.position) || p != end) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "token is cut or has bytes left over");
    }
    if (token.kind != SLUICE_TOKEN_LANE && token.kind != SLUICE_TOKEN_COMPLETE) {
        return sluice_error_set(err, SLUICE_E_DATA, 0, "token kind %d is not known", token.kind);
    }
    *out = token;
    return SLUICE_OK;
}

int sluice_token_field_is(struct sluice_bytes field, const char *text)
{
    return field.size == strlen(text) && memcmp(field.data, text, field.size) == 0;
}
