/* The option table and its bindings. */
#ifndef SLUICE_MSSINK_OPTIONS_H
#define SLUICE_MSSINK_OPTIONS_H

#include "sink.h"

sluice_status mssink_options_bind(const struct sluice_host *host, struct mssink_options *out,
                                  struct sluice_error *err);

#endif /* SLUICE_MSSINK_OPTIONS_H */
