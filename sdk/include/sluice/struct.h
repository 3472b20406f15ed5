/*
 * Reading structs of the ABI that a plugin built against an older minor filled in. SDK; [any].
 */
#ifndef SLUICE_STRUCT_H
#define SLUICE_STRUCT_H

#include <stdint.h>
#include <string.h>

/* Copies what `from` has (its first member says how much) into `to`, of to_size bytes; the rest is
 * zero. Use it wherever a struct of the other side is kept. */
static inline void sluice_struct_read(void *to, uint32_t to_size, const void *from)
{
    uint32_t size = 0;
    memcpy(&size, from, sizeof size);
    size = size < to_size ? size : to_size;
    memset(to, 0, to_size);
    memcpy(to, from, size);
    memcpy(to, &to_size, sizeof to_size);
}

#endif /* SLUICE_STRUCT_H */
