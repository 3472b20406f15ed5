/*
 * Growing bytes: the arena of the log, and what a dialect writes a field into.
 */
#ifndef SLUICE_COMMON_APPLY_BUFFER_H
#define SLUICE_COMMON_APPLY_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/view.h"

/* `failed` sticks. */
struct sluice_apply_buffer {
    uint8_t *data;
    size_t size;
    size_t cap;
    int failed;
};

/* Room for `size` more bytes at data + size; NULL when out of memory. */
uint8_t *sluice_apply_buffer_room(struct sluice_apply_buffer *buffer, size_t size);
/* Appends; out of memory shows in `failed`. */
void sluice_apply_buffer_add(struct sluice_apply_buffer *buffer, const void *data, size_t size);
void sluice_apply_buffer_text(struct sluice_apply_buffer *buffer, const char *text);
/* A JSON string with its quotes; bytes are taken for UTF-8. */
void sluice_apply_buffer_json(struct sluice_apply_buffer *buffer, const char *text, size_t size);
/* Row i of a view, which is not NULL, as a JSON string of its text. */
void sluice_apply_buffer_view_json(struct sluice_apply_buffer *buffer,
                                   const struct sluice_view *view, int64_t i);
void sluice_apply_buffer_free(struct sluice_apply_buffer *buffer);

#endif /* SLUICE_COMMON_APPLY_BUFFER_H */
