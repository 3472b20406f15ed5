/*
 * Percent-encoding the way S3 signs it. [any]
 */
#ifndef SLUICE_COMMON_S3_URI_H
#define SLUICE_COMMON_S3_URI_H

#include "s3/buf.h"

/* Frozen by use: a name and a value, raw (not encoded). A NULL value counts as "". */
struct sluice_s3_pair {
    const char *name;
    const char *value;
};

/* Appends `size` bytes of text, every byte outside A-Z a-z 0-9 - . _ ~ as %XX (upper case); '/' stays
 * when keep_slash. */
void sluice_s3_uri_escape(struct sluice_s3_buf *buf, const char *text, size_t size,
                          bool keep_slash);
/* Appends the query in canonical form: encoded, sorted by encoded name, then value; no '?'. */
void sluice_s3_uri_query(struct sluice_s3_buf *buf, const struct sluice_s3_pair *pairs,
                         size_t count);
/* Appends what %XX and '+' (a space) stand for, as S3 encodes listings under encoding-type=url. A
 * broken escape stays as it is. */
void sluice_s3_uri_unescape(struct sluice_s3_buf *buf, const char *text, size_t size);

#endif /* SLUICE_COMMON_S3_URI_H */
