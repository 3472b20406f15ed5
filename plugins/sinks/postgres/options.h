/* The option table, its bindings, and the functions of the instance. */
#ifndef SLUICE_PGSINK_OPTIONS_H
#define SLUICE_PGSINK_OPTIONS_H

#include "sink.h"

extern const struct sluice_option *const sluice_pgsink_option_table[];
sluice_status sluice_pgsink_options_bind(const struct sluice_host *host,
                                         struct sluice_pgsink_options *out,
                                         struct sluice_error *err);

/* sink.c: as struct sluice_sink_api says. */
sluice_status sluice_pgsink_create(const struct sluice_host *host, struct sluice_sink **out,
                                   struct sluice_error *err);
void sluice_pgsink_destroy(struct sluice_sink *sink);
void sluice_pgsink_cancel(struct sluice_sink *sink);
sluice_status sluice_pgsink_open(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                 struct sluice_error *err);
sluice_status sluice_pgsink_stream_begin(struct sluice_sink *sink,
                                         const struct sluice_stream_begin *begin,
                                         struct sluice_error *err);
sluice_status sluice_pgsink_stream_end(struct sluice_sink *sink,
                                       const struct sluice_stream_end *end,
                                       struct sluice_error *err);
uint64_t sluice_pgsink_bytes_written(struct sluice_sink *sink);

/* check.c */
sluice_status sluice_pgsink_check(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                  sluice_finding_visit visit, void *vctx, struct sluice_error *err);
/* digest.c */
sluice_status sluice_pgsink_digest(struct sluice_sink *sink, const struct sluice_sink_plan *plan,
                                   const struct sluice_digest_ask *ask, sluice_digest_visit visit,
                                   void *vctx, struct sluice_digest_info *info,
                                   struct sluice_error *err);

#endif /* SLUICE_PGSINK_OPTIONS_H */
