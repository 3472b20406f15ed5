/*
 * Columns of Arrow as SQL Server declares them: for tables that are made. [any]
 */
#ifndef SLUICE_COMMON_TDS_DECLARE_H
#define SLUICE_COMMON_TDS_DECLARE_H

#include "sluice/schema.h"

/* A declaration with its modifiers, without a name: "decimal(38,10)". */
enum { SLUICE_TDS_DECLARATION_MAX = 48 };

/*
 * The type of a column for `field`. `key_columns` is 0, or how many columns the key has that it is part of: a key
 * takes 900 bytes, so texts and bytes of one share them and have no (max). With `same` the field comes from a SQL
 * Server and its sluice:native_type is taken over where it names a type that we know and that a key can have
 * (rowversion becomes binary(8), since the server alone writes it; an alias of the like becomes what it is). UNSUPPORTED
 * names the column and what is in the way: a (max) type or a long one as a key that no text can shorten.
 */
sluice_status sluice_tds_declare(const struct ArrowSchema *field, uint32_t key_columns,
                                 int32_t same, char out[SLUICE_TDS_DECLARATION_MAX],
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_TDS_DECLARE_H */
