/*
 * Time: the only place that reads clocks. UTC inside. All [any].
 */
#ifndef SLUICE_BASE_CLOCK_H
#define SLUICE_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds of SLUICE_CLOCK_MONOTONIC or SLUICE_CLOCK_WALL. */
int64_t sluice_now_us(int32_t clock);
/* "20261123T005234Z" */
void sluice_time_stamp(int64_t wall_us, char out[24]);
/* "2026-11-23T00:52:34.123456Z" */
void sluice_time_iso(int64_t wall_us, char out[32]);
/* "850ms", "12.3s", "4m05s", "2h07m" for people */
void sluice_duration_format(int64_t us, char out[24]);
/* "812 B", "64.0 MiB" for people */
void sluice_size_format(uint64_t bytes, char out[24]);
/* "1,234,567" */
void sluice_count_format(uint64_t n, char out[32]);

#endif /* SLUICE_BASE_CLOCK_H */
