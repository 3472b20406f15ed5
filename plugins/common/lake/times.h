/*
 * Dates, times, timestamps and intervals as PostgreSQL prints them under ISO settings. [any]
 */
#ifndef SLUICE_COMMON_LAKE_TIMES_H
#define SLUICE_COMMON_LAKE_TIMES_H

#include <stdint.h>

enum {
    SLUICE_LAKE_DATE_MAX = 24, /* bytes */
    SLUICE_LAKE_TIME_MAX = 40,
    SLUICE_LAKE_TIMESTAMP_MAX = 48,
    SLUICE_LAKE_INTERVAL_MAX = 96
};

/* What stands between date and time, and behind the time. */
enum {
    SLUICE_LAKE_ISO = 0,    /* 2024-01-02 03:04:05 and +00 */
    SLUICE_LAKE_XSD = 1,    /* 2024-01-02T03:04:05 and +00:00, as row_to_json has it */
    SLUICE_LAKE_UTC = 2,    /* with the zone */
    SLUICE_LAKE_SPECIAL = 4 /* the largest and smallest integers are infinities */
};

/* `2024-01-02`, `0044-03-15 BC`, `infinity`. `flags`: SLUICE_LAKE_SPECIAL. */
uint8_t *sluice_lake_put_date(uint8_t *p, int32_t days, uint32_t flags);

/* `03:04:05.6`; 24:00:00 is allowed. */
uint8_t *sluice_lake_put_time(uint8_t *p, int64_t us);

/* `2024-01-02 03:04:05.6+00`; `flags`: any of the above. */
uint8_t *sluice_lake_put_timestamp(uint8_t *p, int64_t us, uint32_t flags);

/* `2024-01-02T03:04:05.678901Z`: always six digits, so that texts sort like the times. At most
 * SLUICE_LAKE_TIMESTAMP_MAX bytes. */
uint8_t *sluice_lake_put_utc(uint8_t *p, int64_t us);

/* `1 year 2 mons -3 days +04:05:06.7` */
uint8_t *sluice_lake_put_interval(uint8_t *p, int32_t months, int32_t days, int64_t ns);

#endif /* SLUICE_COMMON_LAKE_TIMES_H */
