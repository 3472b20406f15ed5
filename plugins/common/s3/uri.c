#include "s3/uri.h"

#include <stdlib.h>
#include <string.h>

static bool unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void sluice_s3_uri_escape(struct sluice_s3_buf *buf, const char *text, size_t size, bool keep_slash)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (unreserved(c) || (c == '/' && keep_slash)) {
            sluice_s3_buf_addc(buf, (char)c);
            continue;
        }
        const char out[3] = {'%', hex[c >> 4], hex[c & 15]};
        sluice_s3_buf_add(buf, out, sizeof out);
    }
}

/* Where one encoded pair lies in the scratch buffer: name, NUL, value, NUL. */
struct piece {
    const char *name;
    const char *value;
};

static int piece_compare(const void *a, const void *b)
{
    const struct piece *left = a;
    const struct piece *right = b;
    const int names = strcmp(left->name, right->name);
    return names != 0 ? names : strcmp(left->value, right->value);
}

void sluice_s3_uri_query(struct sluice_s3_buf *buf, const struct sluice_s3_pair *pairs,
                         size_t count)
{
    struct sluice_s3_buf scratch = {0};
    struct piece *pieces = NULL;
    if (count == 0) {
        return;
    }
    pieces = calloc(count, sizeof *pieces);
    if (pieces == NULL) {
        buf->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *value = pairs[i].value != NULL ? pairs[i].value : "";
        sluice_s3_uri_escape(&scratch, pairs[i].name, strlen(pairs[i].name), false);
        sluice_s3_buf_addc(&scratch, '\0');
        sluice_s3_uri_escape(&scratch, value, strlen(value), false);
        sluice_s3_buf_addc(&scratch, '\0');
    }
    if (scratch.failed) {
        buf->failed = true;
        goto out;
    }
    const char *at = scratch.data;
    for (size_t i = 0; i < count; i++) {
        pieces[i].name = at;
        at += strlen(at) + 1;
        pieces[i].value = at;
        at += strlen(at) + 1;
    }
    qsort(pieces, count, sizeof *pieces, piece_compare);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            sluice_s3_buf_addc(buf, '&');
        }
        sluice_s3_buf_adds(buf, pieces[i].name);
        sluice_s3_buf_addc(buf, '=');
        sluice_s3_buf_adds(buf, pieces[i].value);
    }

out:
    sluice_s3_buf_free(&scratch);
    free(pieces);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void sluice_s3_uri_unescape(struct sluice_s3_buf *buf, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '%' && size - i >= 3 && hex_value(text[i + 1]) >= 0 &&
            hex_value(text[i + 2]) >= 0) {
            sluice_s3_buf_addc(buf, (char)(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2])));
            i += 2;
            continue;
        }
        sluice_s3_buf_addc(buf, text[i] == '+' ? ' ' : text[i]);
    }
}
