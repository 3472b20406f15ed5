/*
 * The engine's allocator: the only place that calls malloc. Every function may fail and answers NULL
 * then; tests make the n-th call fail. All [any].
 */
#ifndef SLUICE_BASE_ALLOC_H
#define SLUICE_BASE_ALLOC_H

#include <stddef.h>

/* Uninitialised, at least 1 byte. */
void *sluice_alloc(size_t size);
/* Zeroed; NULL also when n * size overflows. */
void *sluice_alloc_zero(size_t n, size_t size);
/* Grows or shrinks; the old block stays valid on NULL. */
void *sluice_alloc_resize(void *p, size_t n, size_t size);
char *sluice_alloc_string(const char *text);                /* NULL stays NULL */
char *sluice_alloc_string_n(const char *text, size_t size); /* adds the NUL */
void sluice_free(void *p);
/* Overwrites, then frees: for secrets. */
void sluice_free_secret(void *p, size_t size);

/* Makes items[0..need) fit: doubles *cap. 0 = out of memory. For growing arrays:
 * if (!sluice_alloc_grow((void **)&v->items, &v->cap, v->count + 1, sizeof *v->items)) … */
int sluice_alloc_grow(void **items, size_t *cap, size_t need, size_t item_size);

/* Tests: fail the n-th allocation from now on (0 = never) and, with sticky, all later ones. */
void sluice_alloc_fail_at(long n, int sticky);

#endif /* SLUICE_BASE_ALLOC_H */
