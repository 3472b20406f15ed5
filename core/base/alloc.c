/* The engine's allocator, with failures on demand for tests. */
#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"

/* Allocations until the failing one; 0 = off. One relaxed load when off. */
static int64_t fail_countdown;
static int32_t fail_sticky;

void sluice_alloc_fail_at(long n, int sticky)
{
    sluice_atomic_store_i32(&fail_sticky, sticky);
    sluice_atomic_store_relaxed_i64(&fail_countdown, n > 0 ? n : 0);
}

/* 1 = this allocation fails. */
static int fails(void)
{
    int64_t left = sluice_atomic_load_relaxed_i64(&fail_countdown);
    if (left == 0) {
        return 0;
    }
    while (left > 1 || (left == 1 && !sluice_atomic_load_i32(&fail_sticky))) {
        if (__atomic_compare_exchange_n(&fail_countdown, &left, left - 1, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            return left == 1;
        }
    }
    return left == 1;
}

/* n * size, at least 1; 0 when no object can be that large. */
static size_t total_size(size_t n, size_t size)
{
    size_t total = 0;
    if (__builtin_mul_overflow(n, size, &total) || total > PTRDIFF_MAX) {
        return 0;
    }
    return total > 0 ? total : 1;
}

void *sluice_alloc(size_t size)
{
    size_t total = total_size(size, 1);
    return total == 0 || fails() ? NULL : malloc(total);
}

void *sluice_alloc_zero(size_t n, size_t size)
{
    size_t total = total_size(n, size);
    return total == 0 || fails() ? NULL : calloc(1, total);
}

void *sluice_alloc_resize(void *p, size_t n, size_t size)
{
    size_t total = total_size(n, size);
    return total == 0 || fails() ? NULL : realloc(p, total);
}

char *sluice_alloc_string(const char *text)
{
    return text != NULL ? sluice_alloc_string_n(text, strlen(text)) : NULL;
}

char *sluice_alloc_string_n(const char *text, size_t size)
{
    if (size == SIZE_MAX) {
        return NULL;
    }
    char *copy = sluice_alloc(size + 1);
    if (copy != NULL) {
        if (size > 0) {
            memcpy(copy, text, size);
        }
        copy[size] = '\0';
    }
    return copy;
}

void sluice_free(void *p)
{
    free(p);
}

void sluice_free_secret(void *p, size_t size)
{
    if (p != NULL) {
        explicit_bzero(p, size);
        free(p);
    }
}

int sluice_alloc_grow(void **items, size_t *cap, size_t need, size_t item_size)
{
    if (need <= *cap) {
        return 1;
    }
    size_t grown = *cap > SIZE_MAX / 2 ? SIZE_MAX : *cap * 2;
    if (grown < 8) {
        grown = 8;
    }
    if (grown < need) {
        grown = need;
    }
    void *moved = sluice_alloc_resize(*items, grown, item_size);
    if (moved == NULL) {
        return 0;
    }
    *items = moved;
    *cap = grown;
    return 1;
}
