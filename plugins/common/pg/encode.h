/*
 * From Arrow columns to PostgreSQL's values: COPY (binary and text), and parameters.
 *
 * One encoder per column, chosen once for (Arrow field, target type); the counterpart of decode.h. Nothing is
 * allocated per value. One thread at a time per object.
 */
#ifndef SLUICE_COMMON_PG_ENCODE_H
#define SLUICE_COMMON_PG_ENCODE_H

#include "sluice/view.h"

/* Growing bytes; `failed` sticks. */
struct sluice_pg_buffer {
    uint8_t *data;
    size_t size;
    size_t cap;
    int failed;
};
void sluice_pg_buffer_free(struct sluice_pg_buffer *buffer);
/* Room for `size` more bytes at data + size; NULL when out of memory. */
uint8_t *sluice_pg_buffer_room(struct sluice_pg_buffer *buffer, size_t size);

struct sluice_pg_encoder;
/* Appends the bytes of one value that is not NULL, without its length. Binary encoders write what the
 * target type's receive function takes, text encoders what its input function takes. DATA | ROW_LEVEL for a
 * value that the type cannot hold as far as that is seen here (NUL in text, range of a smaller integer,
 * decimals with too many digits are left to the server). */
typedef sluice_status (*sluice_pg_encode_fn)(const struct sluice_pg_encoder *e, int64_t row,
                                             struct sluice_pg_buffer *out,
                                             struct sluice_error *err);

struct sluice_pg_encoder {
    sluice_pg_encode_fn encode;
    struct sluice_view view; /* of the batch at hand: set by the caller, rows count from there */
    const char *name;        /* of the column, for messages; borrowed */
    uint32_t oid;            /* of the target type: what a binary parameter is declared as */
    int32_t typmod;
    int32_t binary;  /* the bytes are the type's binary form; 0 = text */
    int32_t special; /* sluice:special: extremes stand for infinity and NaN */
    int32_t scale;   /* decimals */
    int32_t width;   /* fixed bytes of each value in binary form; 0 = varies */
    int32_t kind;    /* of this module's own: the quick paths of encode_rows */
    int32_t clean;   /* no text of the view has a NUL: see set_view */
};

/* Chooses for a field of a stream and a column of the target. `oid` is the type (of a domain: its base),
 * `kind` its typtype ('b' 'e' 'c' 'r' 'm' 'd'), `category` its typcategory. Every pair that PostgreSQL would
 * take as text has at least a text encoder; UNSUPPORTED says why a pair cannot be. Without exact binary
 * counterpart (text-only columns of the source such as inet, arrays, ranges, interval): text. */
sluice_status sluice_pg_encoder_make(const struct ArrowSchema *field, uint32_t oid, int32_t typmod,
                                     char kind, const char *name, struct sluice_pg_encoder *out,
                                     struct sluice_error *err) SLUICE_MUST_CHECK;
/* The same, always in text form. */
sluice_status sluice_pg_encoder_make_text(const struct ArrowSchema *field, const char *name,
                                          struct sluice_pg_encoder *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Gives it the batch's column, which is looked at as a whole once: a text for NULs. Copies the view, borrows
 * its data. */
void sluice_pg_encoder_set_view(struct sluice_pg_encoder *e, const struct sluice_view *view);

/* int32 big-endian length and bytes, or -1 for NULL: a field of a binary COPY tuple. */
sluice_status sluice_pg_encode_field(const struct sluice_pg_encoder *e, int64_t row,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* Rows [*from, to) as tuples of a binary COPY (without header and trailer), until the buffer has `limit`
 * bytes: *from is where to go on. On a DATA error *from is the row at fault, and the buffer ends before it.
 * Encoders stand in the order of the COPY's columns; all are binary. The hot path of loads. */
sluice_status sluice_pg_encode_rows(const struct sluice_pg_encoder *encoders, uint32_t count,
                                    int64_t *from, int64_t to, size_t limit,
                                    struct sluice_pg_buffer *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* The same as lines of a text COPY: for tables where some column has no binary form; all encoders were
 * made by sluice_pg_encoder_make_text. */
sluice_status sluice_pg_encode_lines(const struct sluice_pg_encoder *encoders, uint32_t count,
                                     int64_t *from, int64_t to, size_t limit,
                                     struct sluice_pg_buffer *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* 19 bytes before the first tuple, 2 behind the last. */
void sluice_pg_copy_header(struct sluice_pg_buffer *out);
void sluice_pg_copy_trailer(struct sluice_pg_buffer *out);

/* Appends a value of the log (binary or text form of the type) as JSON, as row_to_json prints it where that
 * is known (numbers bare, json nested), else as a string. For letters and messages: not hot. */
struct sluice_pg_text;
void sluice_pg_field_json(uint32_t oid, int32_t binary, const uint8_t *bytes, int32_t size,
                          struct sluice_pg_text *out);

#endif /* SLUICE_COMMON_PG_ENCODE_H */
