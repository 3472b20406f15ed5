#include "apply/buffer.h"

#include "sluice/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint8_t *sluice_apply_buffer_room(struct sluice_apply_buffer *buffer, size_t size)
{
    if (buffer->cap - buffer->size >= size && buffer->data != NULL) {
        return buffer->data + buffer->size;
    }
    size_t cap = buffer->cap < 4096 ? 4096 : buffer->cap * 2;
    cap = cap < buffer->size + size ? buffer->size + size : cap;
    uint8_t *grown = realloc(buffer->data, cap);
    if (grown == NULL) {
        buffer->failed = 1;
        return NULL;
    }
    buffer->data = grown;
    buffer->cap = cap;
    return grown + buffer->size;
}

void sluice_apply_buffer_add(struct sluice_apply_buffer *buffer, const void *data, size_t size)
{
    uint8_t *to = sluice_apply_buffer_room(buffer, size);
    if (to != NULL && size > 0) {
        memcpy(to, data, size);
        buffer->size += size;
    }
}

void sluice_apply_buffer_text(struct sluice_apply_buffer *buffer, const char *text)
{
    sluice_apply_buffer_add(buffer, text, strlen(text));
}

void sluice_apply_buffer_json(struct sluice_apply_buffer *buffer, const char *text, size_t size)
{
    sluice_apply_buffer_text(buffer, "\"");
    for (size_t i = 0; i < size; i++) {
        const unsigned char c = (unsigned char)text[i];
        char escaped[8];
        if (c == '"' || c == '\\') {
            (void)snprintf(escaped, sizeof escaped, "\\%c", c);
            sluice_apply_buffer_text(buffer, escaped);
        }
        else if (c < 0x20) {
            (void)snprintf(escaped, sizeof escaped, "\\u%04x", c);
            sluice_apply_buffer_text(buffer, escaped);
        }
        else {
            sluice_apply_buffer_add(buffer, text + i, 1);
        }
    }
    sluice_apply_buffer_text(buffer, "\"");
}

void sluice_apply_buffer_view_json(struct sluice_apply_buffer *buffer,
                                   const struct sluice_view *view, int64_t i)
{
    char room[SLUICE_TEXT_MAX];
    struct sluice_bytes text = {"", 0};
    struct sluice_error ignored = SLUICE_ERROR_INIT;
    if (sluice_view_text(view, i, room, &text, &ignored) < 0) {
        text = (struct sluice_bytes){"", 0}; /* a list or a struct */
    }
    sluice_apply_buffer_json(buffer, text.data, (size_t)text.size);
}

void sluice_apply_buffer_free(struct sluice_apply_buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct sluice_apply_buffer){0};
}
