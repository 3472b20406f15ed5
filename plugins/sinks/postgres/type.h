/*
 * Types of the columns of tables that are made or altered for a stream. [any]
 */
#ifndef SLUICE_PGSINK_TYPE_H
#define SLUICE_PGSINK_TYPE_H

#include "sluice/schema.h"

enum { SLUICE_PGSINK_TYPE_MAX = 512 };

/* 1 if native type names are PostgreSQL's own. */
int sluice_pgsink_is_postgres(const struct sluice_stream_desc *desc);
/* The type as SQL: the source's own where it is PostgreSQL (of a domain: its base), else by the Arrow
 * type. It may not exist at the target. */
void sluice_pgsink_type_of(const struct sluice_stream_desc *desc, const struct ArrowSchema *field,
                           char out[SLUICE_PGSINK_TYPE_MAX]);
/* By the Arrow type alone. */
void sluice_pgsink_type_arrow(const struct ArrowSchema *field, char out[SLUICE_PGSINK_TYPE_MAX]);
/* 1 if a default means the same at the target: literals, the current time, a random uuid. */
int sluice_pgsink_default_portable(struct sluice_bytes expression);
/* 1 if every value of `from` is one of `to`, both as format_type prints them. */
int sluice_pgsink_type_widens(const char *from, const char *to);

#endif /* SLUICE_PGSINK_TYPE_H */
