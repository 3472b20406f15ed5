/*
 * A column of SQL Server as Arrow: its type by what sys.columns says, and its values out of db-lib's rows.
 */
#ifndef SLUICE_COMMON_TDS_COLUMN_H
#define SLUICE_COMMON_TDS_COLUMN_H

#include "sluice/abi.h"
#include "sluice/build.h"
#include "sluice/error.h"

/* What to do with times finer than a microsecond. */
enum { SLUICE_TDS_FINE_FAIL = 0, SLUICE_TDS_FINE_TEXT = 1, SLUICE_TDS_FINE_TRUNCATE = 2 };

/* How hierarchyid, geography and geometry come. */
enum { SLUICE_TDS_CLR_BYTES = 0, SLUICE_TDS_CLR_TEXT = 1, SLUICE_TDS_CLR_FAIL = 2 };
enum { SLUICE_TDS_SELECT_MAX = 2048 };

struct sluice_tds_rules {
    int32_t fine; /* SLUICE_TDS_FINE_* */
    int32_t clr;  /* SLUICE_TDS_CLR_* */
};

/* As sys.columns and sys.types have it. */
struct sluice_tds_column {
    char name[132 * 4]; /* 128 characters */
    char type[64];      /* base type, lower case */
    int32_t max_length; /* bytes; -1 = max */
    int32_t precision;
    int32_t scale;
    int32_t nullable;
    int32_t identity;
    int32_t computed;
    int32_t encrypted; /* Always Encrypted: what comes is ciphertext */
};

/* A value that is not NULL into the column. DATA | ROW_LEVEL when Arrow cannot hold it. */
struct sluice_tds_decoder;
typedef sluice_status (*sluice_tds_decode_fn)(const struct sluice_tds_decoder *d,
                                              struct sluice_bytes value, struct sluice_column *out,
                                              struct sluice_error *err);

struct sluice_tds_decoder {
    sluice_tds_decode_fn decode;
    struct sluice_type type;
    const char *extension; /* ARROW:extension:name; NULL = none */
    char native[80];       /* as it is declared: nvarchar(20) */
    char name[132 * 4];    /* for messages */
    int32_t scale;
    int32_t fine;      /* SLUICE_TDS_FINE_* */
    uint64_t limit[2]; /* of decimals: ten to the precision, lower half first */
    const char *form;  /* of the select list; $ = the column, quoted */
};

/* Chooses once for a column. UNSUPPORTED names types that are not read. */
sluice_status sluice_tds_decoder_make(const struct sluice_tds_column *column,
                                      const struct sluice_tds_rules *rules,
                                      struct sluice_tds_decoder *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* What a select list asks for, so that the decoder understands what comes: the column itself, or as bytes what db-lib
 * would convert or not take. Answers the length, less than SLUICE_TDS_SELECT_MAX. */
size_t sluice_tds_decoder_select(const struct sluice_tds_decoder *d,
                                 char out[SLUICE_TDS_SELECT_MAX]);

/* The same of an expression instead of the column. Answers the length, less than `size`; it is cut where that is too small. */
size_t sluice_tds_decoder_around(const struct sluice_tds_decoder *d, const char *expression,
                                 char *out, size_t size);

#endif /* SLUICE_COMMON_TDS_COLUMN_H */
