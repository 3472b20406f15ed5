/* The connection options of the s3 sink: the table, and binding it. */
#ifndef SLUICE_SINK_S3_OPTIONS_H
#define SLUICE_SINK_S3_OPTIONS_H

#include "s3/s3.h"

/* NULL-terminated; the lake's options are in it too. */
extern const struct sluice_option *const sluice_s3_sink_options[];

sluice_status sluice_s3_sink_bind(const struct sluice_host *host, struct sluice_s3_options *out,
                                  struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_SINK_S3_OPTIONS_H */
