/*
 * The servers of this process, as db-lib finds them: sections of a configuration file that lies in memory and only
 * grows, so that logins need not take turns. TLS can be set nowhere else, and db-lib knows one file a process.
 */
#ifndef SLUICE_COMMON_TDS_PLACES_H
#define SLUICE_COMMON_TDS_PLACES_H

#include "tds/settings.h"

enum { SLUICE_TDS_PLACE_NAME = 32 };

/* The name to log in by. Makes file and section at their first use. Holds no secret. [any] */
sluice_status sluice_tds_place(const struct sluice_tds_settings *settings,
                               char name[SLUICE_TDS_PLACE_NAME], struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_TDS_PLACES_H */
