/*
 * Atomic access to plain integers, so that public structs need no _Atomic. All [any].
 * Relaxed forms are for counters and switches that order nothing else.
 */
#ifndef SLUICE_BASE_ATOMIC_H
#define SLUICE_BASE_ATOMIC_H

#include <stdint.h>

static inline int32_t sluice_atomic_load_i32(const int32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void sluice_atomic_store_i32(int32_t *p, int32_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Answers the old value. */
static inline int32_t sluice_atomic_exchange_i32(int32_t *p, int32_t value)
{
    return __atomic_exchange_n(p, value, __ATOMIC_ACQ_REL);
}

static inline int32_t sluice_atomic_load_relaxed_i32(const int32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline int64_t sluice_atomic_load_relaxed_i64(const int64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static inline void sluice_atomic_store_relaxed_i64(int64_t *p, int64_t value)
{
    __atomic_store_n(p, value, __ATOMIC_RELAXED);
}

/* Answers the new value; wraps around. */
static inline int64_t sluice_atomic_add_relaxed_i64(int64_t *p, int64_t delta)
{
    return __atomic_add_fetch(p, delta, __ATOMIC_RELAXED);
}

#endif /* SLUICE_BASE_ATOMIC_H */
