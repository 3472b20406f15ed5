/*
 * Values on their way into a column: Arrow to db-lib's own forms, which bulk load takes as they are, and from there to
 * literals of T-SQL. What does not fit is refused, never cut. [any]
 */
#ifndef SLUICE_MSSINK_VALUE_H
#define SLUICE_MSSINK_VALUE_H

#include "sluice/view.h"
#include "text.h"

/* The forms that values have. */
enum mssink_form {
    MSSINK_FORM_NONE = 0, /* no value of ours goes into it (xml in bulk, sql_variant, CLR types) */
    MSSINK_FORM_BIT,      /* 1 byte */
    MSSINK_FORM_INT1,
    MSSINK_FORM_INT2,
    MSSINK_FORM_INT4,
    MSSINK_FORM_INT8,
    MSSINK_FORM_REAL,
    MSSINK_FORM_FLOAT,
    MSSINK_FORM_DECIMAL, /* DBDECIMAL */
    MSSINK_FORM_MONEY,   /* DBMONEY */
    MSSINK_FORM_MONEY4,
    MSSINK_FORM_UTF16, /* (n)char of two bytes a unit */
    MSSINK_FORM_CHARS, /* char, varchar, text: in the column's code page */
    MSSINK_FORM_BYTES,
    MSSINK_FORM_GUID,
    MSSINK_FORM_DATE, /* this and the next three: DBDATETIMEALL */
    MSSINK_FORM_TIME,
    MSSINK_FORM_DATETIME2,
    MSSINK_FORM_OFFSET,
    MSSINK_FORM_DATETIME, /* DBDATETIME */
    MSSINK_FORM_SMALLDATETIME
};

enum { CODE_PAGE_UTF8 = 65001 };

/* A column's type, as sys.columns has it. */
struct mssink_type {
    enum mssink_form form;
    int32_t max_length; /* bytes; -1 = (max) */
    int32_t precision;
    int32_t scale;
    int32_t code_page; /* of CHARS; 65001 = UTF-8 */
    char declared[48]; /* "decimal(18,4)": for messages, casts and staging tables */
};

/* From the catalog's name and numbers. NONE where values cannot be written. */
void mssink_type_make(const char *name, int32_t max_length, int32_t precision, int32_t scale,
                      int32_t code_page, struct mssink_type *out);

struct mssink_encoder;
typedef sluice_status (*mssink_encode_fn)(const struct mssink_encoder *e, int64_t row, uint8_t *out,
                                          size_t *size, struct sluice_error *err);
struct mssink_encoder {
    const struct mssink_type *type;
    const char *name; /* of the column, for messages */
    struct sluice_view view;
    mssink_encode_fn encode;
};

/* Chooses once a column: SCHEMA when the type takes no such values. The view may be set later, per batch. */
sluice_status mssink_encoder_make(const struct mssink_type *type, const char *name,
                                  const struct ArrowSchema *field, struct mssink_encoder *out,
                                  struct sluice_error *err);
/* Bytes that the value of a row takes at most, once encoded. */
size_t mssink_encoder_room(const struct mssink_encoder *e, int64_t row);
/* A value that is not NULL, at `out` with so much room. DATA | ROW_LEVEL when the column cannot hold it. */
sluice_status mssink_encode(const struct mssink_encoder *e, int64_t row, uint8_t *out, size_t *size,
                            struct sluice_error *err);

/* An encoded value as a literal that the server reads as the very same value; data NULL = NULL. */
void mssink_literal(const struct mssink_type *type, struct sluice_bytes value,
                    struct mssink_text *out);
/* The same as JSON, for letters and messages. */
void mssink_json(const struct mssink_type *type, struct sluice_bytes value,
                 struct mssink_text *out);

#endif /* SLUICE_MSSINK_VALUE_H */
