/*
 * Codecs for positions and their text. SDK; [any].
 */
#ifndef SLUICE_POSITION_H
#define SLUICE_POSITION_H

#include "sluice/abi.h"
#include "sluice/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Big-endian integers, so that memcmp orders them. */
void sluice_put_be16(uint8_t *p, uint16_t v);
void sluice_put_be32(uint8_t *p, uint32_t v);
void sluice_put_be64(uint8_t *p, uint64_t v);
uint16_t sluice_get_be16(const uint8_t *p);
uint32_t sluice_get_be32(const uint8_t *p);
uint64_t sluice_get_be64(const uint8_t *p);

/* Fixed-width lower-case hex of bytes; out needs 2 * size + 1 bytes. */
void sluice_hex_encode(const void *data, uint64_t size, char *out);
/* DATA if not hex of exactly `size` bytes. */
sluice_status sluice_hex_decode(const char *text, uint64_t text_size, void *out, uint64_t size,
                                struct sluice_error *err) SLUICE_MUST_CHECK;

/* A PostgreSQL LSN as "16/B374D848". */
void sluice_lsn_format(uint64_t lsn, char out[24]);
sluice_status sluice_lsn_parse(const char *text, uint64_t *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* memcmp order of two positions, shorter first when one is a prefix. */
int32_t sluice_position_compare(struct sluice_bytes a, struct sluice_bytes b);

/* Standard base64 with padding; returns the length written without NUL; out needs
 * 4 * ((size + 2) / 3) + 1 bytes. */
uint64_t sluice_base64_encode(const void *data, uint64_t size, char *out);
sluice_status sluice_base64_decode(const char *text, uint64_t text_size, void *out,
                                   uint64_t *out_size, struct sluice_error *err) SLUICE_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif /* SLUICE_POSITION_H */
