/* Sink null: shared by its files. */
#ifndef NULL_SINK_H
#define NULL_SINK_H

#include "sluice/abi.h"

/* Index of option fail_kind. */
enum { NULL_FAIL_RETRYABLE = 0, NULL_FAIL_FATAL = 1, NULL_FAIL_STREAM = 2 };

extern const struct sluice_sink_api null_sink_api;

#endif /* NULL_SINK_H */
