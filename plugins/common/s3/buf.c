#include "s3/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct sluice_s3_buf *buf, size_t more)
{
    const size_t max = buf->max != 0 ? buf->max : SLUICE_S3_BUF_MAX;
    if (buf->failed || more > max || buf->size > max - more) {
        buf->too_long = buf->too_long || !buf->failed;
        buf->failed = true;
        return false;
    }
    const size_t need = buf->size + more + 1;
    if (need <= buf->cap) {
        return true;
    }
    size_t cap = buf->cap < 128 ? 256 : buf->cap * 2;
    if (cap < need) {
        cap = need;
    }
    char *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    return true;
}

void sluice_s3_buf_add(struct sluice_s3_buf *buf, const void *data, size_t size)
{
    if (!reserve(buf, size)) {
        return;
    }
    if (size > 0) {
        memcpy(buf->data + buf->size, data, size);
    }
    buf->size += size;
    buf->data[buf->size] = '\0';
}

void sluice_s3_buf_adds(struct sluice_s3_buf *buf, const char *text)
{
    sluice_s3_buf_add(buf, text, strlen(text));
}

void sluice_s3_buf_addc(struct sluice_s3_buf *buf, char c)
{
    sluice_s3_buf_add(buf, &c, 1);
}

void sluice_s3_buf_addf(struct sluice_s3_buf *buf, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0 || (size_t)size >= sizeof text) {
        buf->failed = true;
        return;
    }
    sluice_s3_buf_add(buf, text, (size_t)size);
}

const char *sluice_s3_buf_text(const struct sluice_s3_buf *buf)
{
    return buf->data != NULL ? buf->data : "";
}

void sluice_s3_buf_clear(struct sluice_s3_buf *buf)
{
    buf->size = 0;
    buf->failed = false;
    buf->too_long = false;
    if (buf->data != NULL) {
        buf->data[0] = '\0';
    }
}

void sluice_s3_buf_free(struct sluice_s3_buf *buf)
{
    free(buf->data);
    *buf = (struct sluice_s3_buf){.max = buf->max};
}

void sluice_s3_buf_wipe(struct sluice_s3_buf *buf)
{
    if (buf->data != NULL) {
        explicit_bzero(buf->data, buf->cap);
    }
    sluice_s3_buf_free(buf);
}

void sluice_s3_text_copy(char *to, size_t to_size, const char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < to_size; i++) {
        const unsigned char c = (unsigned char)text[i];
        to[used++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
    }
    /* Not in the middle of a UTF-8 character. */
    if (used < size && used > 0) {
        while (used > 0 && ((unsigned char)text[used] & 0xc0u) == 0x80u) {
            used--;
        }
    }
    to[used] = '\0';
}
