/*
 * A growing byte buffer with a cap, always NUL-terminated. A failed append is remembered, so that a
 * chain of appends is checked once, at its end. One thread at a time.
 */
#ifndef SLUICE_COMMON_S3_BUF_H
#define SLUICE_COMMON_S3_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

struct sluice_s3_buf {
    char *data; /* NULL while nothing was appended */
    size_t size;
    size_t cap;
    size_t max;    /* 0 = SLUICE_S3_BUF_MAX */
    bool failed;   /* an append did not fit or memory was out */
    bool too_long; /* it was the cap */
};

/* What a buffer without its own cap may hold: requests and error bodies are far smaller. */
#define SLUICE_S3_BUF_MAX ((size_t)1 << 20)

void sluice_s3_buf_add(struct sluice_s3_buf *buf, const void *data, size_t size);
void sluice_s3_buf_adds(struct sluice_s3_buf *buf, const char *text);
void sluice_s3_buf_addc(struct sluice_s3_buf *buf, char c);
/* At most 512 bytes of formatted text at a time. */
void sluice_s3_buf_addf(struct sluice_s3_buf *buf, const char *format, ...) SLUICE_PRINTF(2, 3);
/* The text, "" while empty. */
const char *sluice_s3_buf_text(const struct sluice_s3_buf *buf);
/* Empties it, keeps the memory. */
void sluice_s3_buf_clear(struct sluice_s3_buf *buf);
void sluice_s3_buf_free(struct sluice_s3_buf *buf);
/* Wipes, then frees. */
void sluice_s3_buf_wipe(struct sluice_s3_buf *buf);

/* Copies `text`, cut at the size of `to` and freed of control characters: what servers send goes
 * into messages and must stay one line. */
void sluice_s3_text_copy(char *to, size_t to_size, const char *text, size_t size);

#endif /* SLUICE_COMMON_S3_BUF_H */
