/*
 * Rows of change files: one encoder per stream and schema, in one of two shapes.
 *
 * `columns`: the row with _op, _pos, _seq, _commit_ts, _tx, _unchanged beside its columns (JSON lines
 * and CSV; change_columns.c). `debezium`: the envelope before / after / source / op / ts_ms with
 * Debezium's value encodings (JSON lines alone; debezium*.c). docs/object-layout.md has both.
 *
 * Like encoder.h: bind a batch, then encode ranges of its rows; nothing is allocated per row. One
 * thread at a time per encoder.
 */
#ifndef SLUICE_COMMON_LAKE_CHANGE_H
#define SLUICE_COMMON_LAKE_CHANGE_H

#include "lake/encoder.h"

enum { SLUICE_LAKE_CHANGES_COLUMNS = 0, SLUICE_LAKE_CHANGES_DEBEZIUM = 1 };

enum {
    SLUICE_LAKE_POSITION_MAX = 128, /* bytes of a position; PostgreSQL has 8 */
    SLUICE_LAKE_PREFIX_MAX = 64     /* bytes of metadata_prefix */
};

/* Names and meanings as in Debezium's PostgreSQL connector, with _ for . */
enum { SLUICE_LAKE_DECIMAL_PRECISE = 0, SLUICE_LAKE_DECIMAL_DOUBLE, SLUICE_LAKE_DECIMAL_STRING };
enum {
    SLUICE_LAKE_TIME_ADAPTIVE = 0,
    SLUICE_LAKE_TIME_ADAPTIVE_MICROSECONDS,
    SLUICE_LAKE_TIME_CONNECT,
    SLUICE_LAKE_TIME_ISOSTRING,
    SLUICE_LAKE_TIME_MICROSECONDS,
    SLUICE_LAKE_TIME_NANOSECONDS
};
enum { SLUICE_LAKE_BYTES_BASE64 = 0, SLUICE_LAKE_BYTES_BASE64_URL, SLUICE_LAKE_BYTES_HEX };
enum { SLUICE_LAKE_INTERVAL_NUMERIC = 0, SLUICE_LAKE_INTERVAL_STRING };
enum { SLUICE_LAKE_HSTORE_JSON = 0, SLUICE_LAKE_HSTORE_MAP };

struct sluice_lake_change_options {
    int32_t shape;               /* SLUICE_LAKE_CHANGES_* */
    int32_t format;              /* SLUICE_LAKE_JSONL, SLUICE_LAKE_CSV */
    int32_t binary;              /* columns: as for the encoder of full loads */
    const char *metadata_prefix; /* columns: "_" unless set: _op, _pos … */
    /* debezium */
    int32_t decimal_handling_mode;
    int32_t time_precision_mode;
    int32_t binary_handling_mode;
    int32_t interval_handling_mode;
    int32_t hstore_handling_mode;
    const char *topic_prefix;       /* source.name */
    const char *unavailable_value;  /* __debezium_unavailable_value */
    const struct sluice_host *host; /* clock of debezium's ts_ms; NULL = the time of the batch */
};

struct sluice_lake_change_encoder;

/* INVALID if a column has the name of a metadata column (it names metadata_prefix), or the shape and
 * format do not go together. `desc` and `options` are borrowed until free. */
sluice_status sluice_lake_change_encoder_create(const struct sluice_stream_desc *desc,
                                                const struct sluice_lake_change_options *options,
                                                struct sluice_lake_change_encoder **out,
                                                struct sluice_error *err) SLUICE_MUST_CHECK;
void sluice_lake_change_encoder_free(struct sluice_lake_change_encoder *enc);

/* Rows of ROWS batches (`full: changes`) are written as of this load position and time. */
void sluice_lake_change_encoder_load(struct sluice_lake_change_encoder *enc,
                                     struct sluice_bytes position, int64_t time_us);

/* Begins a file: the header of CSV. */
void sluice_lake_change_encoder_begin(struct sluice_lake_change_encoder *enc,
                                      struct sluice_lake_out *out);
/* Takes a CHANGES, TRUNCATE or ROWS batch; borrowed until the next bind. */
sluice_status sluice_lake_change_encoder_bind(struct sluice_lake_change_encoder *enc,
                                              const struct sluice_batch *batch,
                                              struct sluice_error *err) SLUICE_MUST_CHECK;
/* Encodes rows [from, to); returns how many rows that made in the file: a key change, and an update
 * of a stream without key, make two in the shape `columns`. */
int64_t sluice_lake_change_encoder_rows(struct sluice_lake_change_encoder *enc, int64_t from,
                                        int64_t to, struct sluice_lake_out *out);

/* What a shape is made of; each of the two files that implement one gives such a table. */
struct sluice_lake_change_shape {
    sluice_status (*create)(const struct sluice_stream_desc *desc,
                            const struct sluice_lake_change_options *options, void **out,
                            struct sluice_error *err);
    void (*free)(void *enc);
    void (*load)(void *enc, struct sluice_bytes position, int64_t time_us);
    void (*begin)(void *enc, struct sluice_lake_out *out);
    sluice_status (*bind)(void *enc, const struct sluice_batch *batch, struct sluice_error *err);
    int64_t (*rows)(void *enc, int64_t from, int64_t to, struct sluice_lake_out *out);
};
extern const struct sluice_lake_change_shape sluice_lake_change_columns;
extern const struct sluice_lake_change_shape sluice_lake_change_debezium;

#endif /* SLUICE_COMMON_LAKE_CHANGE_H */
