/* Transform mask: shared by its files. */
#ifndef MASK_H
#define MASK_H

#include "sluice/option.h"
#include "sluice/pattern.h"
#include "sluice/remap.h"

/* Option `with`, by index. */
enum {
    MASK_SHA256 = 0,
    MASK_REDACT = 1,
    MASK_NULL = 2,
    MASK_TRUNCATE = 3,
    MASK_KEEP_LAST = 4,
    MASK_NULL_QUOTED = 5 /* "null": a bare null is nothing in YAML; becomes MASK_NULL */
};

/* Option `encoding`, by index. */
enum { MASK_HEX = 0, MASK_BINARY = 1 };

#define MASK_HASH_SIZE 32

struct mask_options {
    struct sluice_option_list columns;
    int64_t with;
    int64_t encoding;
    int64_t length;
    const char *salt;
    const char *replacement;
};

extern const struct sluice_transform_api mask_api;

struct mask_hash; /* SHA-256 that has the salt already */

struct mask_hash *mask_hash_new(const char *salt);
void mask_hash_free(struct mask_hash *hash);

/* Appends the masked values of `source`. */
sluice_status mask_fill(const struct mask_options *options, const struct mask_hash *hash,
                        const struct sluice_view *source, int64_t rows, struct sluice_column *to,
                        struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* MASK_H */
