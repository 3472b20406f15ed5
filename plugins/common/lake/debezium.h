/*
 * The shape `debezium` of change files, inside: what the debezium*.c files share. Values are encoded
 * as Debezium's PostgreSQL connector and its JSON converter without schemas do it; the rules are in
 * docs/debezium-format.md.
 *
 * A cell holds all that depends on a column: functions chosen once, the bytes in front of the value,
 * the bytes that stand for a value that was not sent. One thread at a time per encoder.
 */
#ifndef SLUICE_COMMON_LAKE_DEBEZIUM_H
#define SLUICE_COMMON_LAKE_DEBEZIUM_H

#include "lake/change.h"
#include "sluice/view.h"

enum {
    SLUICE_LAKE_DBZ_ROOM = 160, /* bytes that a value of fixed width takes at most */
    SLUICE_LAKE_DBZ_ARRAY_DIMS = 16
};

/* What a value is, whatever form it comes in. */
enum {
    SLUICE_LAKE_DBZ_STRING = 0,
    SLUICE_LAKE_DBZ_NUMBER, /* digits as they stand */
    SLUICE_LAKE_DBZ_BOOL,
    SLUICE_LAKE_DBZ_UUID, /* 16 bytes */
    SLUICE_LAKE_DBZ_FLOAT,
    SLUICE_LAKE_DBZ_DECIMAL,  /* of a scale that the column fixes */
    SLUICE_LAKE_DBZ_VARIABLE, /* each value has its own scale */
    SLUICE_LAKE_DBZ_MONEY,
    SLUICE_LAKE_DBZ_BYTES,
    SLUICE_LAKE_DBZ_BITS,
    SLUICE_LAKE_DBZ_BIT, /* a single one */
    SLUICE_LAKE_DBZ_DATE,
    SLUICE_LAKE_DBZ_TIME,
    SLUICE_LAKE_DBZ_TIMETZ,
    SLUICE_LAKE_DBZ_TIMESTAMP,
    SLUICE_LAKE_DBZ_TIMESTAMPTZ,
    SLUICE_LAKE_DBZ_INTERVAL,
    SLUICE_LAKE_DBZ_HSTORE,
    SLUICE_LAKE_DBZ_POINT,
    SLUICE_LAKE_DBZ_BOX,
    SLUICE_LAKE_DBZ_LSEG,
    SLUICE_LAKE_DBZ_PATH,
    SLUICE_LAKE_DBZ_POLYGON,
    SLUICE_LAKE_DBZ_CIRCLE,
    SLUICE_LAKE_DBZ_LINE,
    SLUICE_LAKE_DBZ_GEOMETRY,
    SLUICE_LAKE_DBZ_GEOGRAPHY,
    SLUICE_LAKE_DBZ_VECTOR,
    SLUICE_LAKE_DBZ_SPARSE_VECTOR,
    SLUICE_LAKE_DBZ_KINDS
};

struct sluice_lake_dbz;
struct sluice_lake_dbz_cell;

/* Writes a value of the column that is not NULL; cell->bound bytes are free at p. */
typedef uint8_t *(*sluice_lake_dbz_fn)(struct sluice_lake_dbz *enc,
                                       const struct sluice_lake_dbz_cell *cell,
                                       const struct sluice_view *view, int64_t row, uint8_t *p);
/* The same for PostgreSQL's output text: a utf8 column, or an element of an array. Makes its own
 * room. */
typedef uint8_t *(*sluice_lake_dbz_text_fn)(struct sluice_lake_dbz *enc,
                                            const struct sluice_lake_dbz_cell *cell,
                                            const uint8_t *s, size_t n, uint8_t *p);
/* A date in days; a time, timestamp in microseconds. SLUICE_LAKE_DBZ_ROOM bytes are free at p. */
typedef uint8_t *(*sluice_lake_dbz_moment_fn)(struct sluice_lake_dbz *enc,
                                              const struct sluice_lake_dbz_cell *cell, int64_t v,
                                              uint8_t *p);

struct sluice_lake_dbz_cell {
    sluice_lake_dbz_fn fn;
    sluice_lake_dbz_text_fn text; /* utf8 columns: the value, or each element if it is an array */
    sluice_lake_dbz_moment_fn moment;
    const char *name;     /* borrowed from the schema */
    uint8_t *key;         /* `{"name":` or `,"name":` */
    uint8_t *unavailable; /* stands for a value that was not sent */
    uint32_t key_size;
    uint32_t unavailable_size;
    uint32_t bound;
    int32_t kind;
    int32_t array;     /* the text is an array literal … */
    int32_t delimiter; /* … with this between elements; a blank: without braces */
    int32_t scale;     /* decimals */
    int32_t digits;    /* declared fraction digits of times */
    int32_t special;   /* sluice:special */
    int32_t old;       /* index among the columns of `before`, -1 = not there */
};

/* Memory for unescaped text and the like, kept between values. */
enum { SLUICE_LAKE_DBZ_SCRATCH_ITEM = 0, SLUICE_LAKE_DBZ_SCRATCH_VALUE, SLUICE_LAKE_DBZ_SCRATCHES };

struct sluice_lake_dbz_buffer {
    uint8_t *data;
    uint64_t size;
    uint64_t cap;
};

struct sluice_lake_dbz {
    const struct sluice_lake_change_options *options;
    const struct sluice_stream_desc *desc;
    struct ArrowSchema envelope;
    struct ArrowSchema head; /* the first five fields; borrows from `envelope` */
    struct sluice_lake_dbz_cell *cells;
    struct sluice_view *columns; /* of `after`, or of the rows of a load */
    struct sluice_view *old;     /* of `before` */
    struct sluice_view fields[8];
    uint32_t cell_count;
    uint32_t old_count;

    int32_t kind; /* of the bound batch */
    int64_t row;  /* being written; for messages */
    struct sluice_lake_out *out;
    struct sluice_lake_dbz_buffer scratch[SLUICE_LAKE_DBZ_SCRATCHES];

    /* the load's position and time, for rows without an envelope */
    struct sluice_lake_dbz_buffer load_position;
    int64_t load_time_us;

    /* The constant parts of `source`, rendered when the encoder is made. */
    struct sluice_lake_dbz_buffer head_text; /* `,"source":{` … `"ts_ms":` */
    struct sluice_lake_dbz_buffer db_text;   /* `","db":` … `"sequence":` */
    struct sluice_lake_dbz_buffer name_text; /* `,"schema":` … `"txId":` */
    /* `source` up to `"_seq":` of the transaction last written, and what it was made of. */
    struct sluice_lake_dbz_buffer source;
    struct sluice_lake_dbz_buffer source_position;
    struct sluice_lake_dbz_buffer source_tx;
    int64_t source_time_us;
    int32_t source_timed; /* it has a time */
    int32_t source_load;  /* it is that of a row of the load */
    int32_t source_valid;
    /* `},"transaction":null,"op":"x","ts_ms":` … of the bound batch; the letter is put in per row. */
    uint8_t tail[160];
    uint32_t tail_size;
    uint32_t tail_op;
};

/* ---- debezium_envelope.c ---- */

/* Bytes into a buffer that grows. NOMEM. */
sluice_status sluice_lake_dbz_buffer_set(struct sluice_lake_dbz_buffer *buf, const void *data,
                                         uint64_t size, struct sluice_error *err) SLUICE_MUST_CHECK;
sluice_status sluice_lake_dbz_buffer_room(struct sluice_lake_dbz_buffer *buf, uint64_t size,
                                          struct sluice_error *err) SLUICE_MUST_CHECK;

/* The constant parts. */
sluice_status sluice_lake_dbz_envelope_make(struct sluice_lake_dbz *enc, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* What a batch fixes: the time of processing. */
void sluice_lake_dbz_envelope_bind(struct sluice_lake_dbz *enc, int64_t now_us);

/* One row's place and time. */
struct sluice_lake_dbz_stamp {
    struct sluice_bytes position;
    struct sluice_bytes tx; /* data NULL = none */
    int64_t seq;
    int64_t time_us;
    int32_t timed;
    int32_t load;
};
/* `,"source":{…},"transaction":null,"op":"c",…}` and the line's end. */
uint8_t *sluice_lake_dbz_envelope_end(struct sluice_lake_dbz *enc,
                                      const struct sluice_lake_dbz_stamp *stamp, char op,
                                      uint8_t *p);

/* ---- debezium_types.c ---- */

/* Chooses everything in the cell for a field but key and old. SCHEMA, UNSUPPORTED, LIMIT, NOMEM
 * (the caller names the column). */
sluice_status sluice_lake_dbz_cell_make(struct sluice_lake_dbz *enc,
                                        const struct ArrowSchema *field,
                                        struct sluice_lake_dbz_cell *cell, struct sluice_error *err)
    SLUICE_MUST_CHECK;

/* ---- debezium_cells.c ---- */

/* Sets fn and bound for a type of fixed width, or binary; UNSUPPORTED for others. `cell` has kind,
 * scale, digits. */
sluice_status sluice_lake_dbz_arrow_cell(const struct sluice_lake_change_options *options,
                                         const struct sluice_type *type,
                                         struct sluice_lake_dbz_cell *cell,
                                         struct sluice_error *err) SLUICE_MUST_CHECK;

/* ---- debezium_text.c ---- */

/* Sets fn, bound and text for a utf8 column of cell->kind. */
void sluice_lake_dbz_text_cell(const struct sluice_lake_change_options *options,
                               const struct sluice_type *type, struct sluice_lake_dbz_cell *cell);

/* The first error stays; `what` says what is wrong with the value. Returns p. */
uint8_t *sluice_lake_dbz_fail(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                              const char *what, uint8_t *p);
/* `size` bytes of scratch memory; NULL after an error. What was there is lost. */
uint8_t *sluice_lake_dbz_scratch(struct sluice_lake_dbz *enc, int32_t which, uint64_t size);
/* A JSON string of any length. */
uint8_t *sluice_lake_dbz_put_string(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n,
                                    uint8_t *p);
/* bytea as binary_handling_mode says. */
uint8_t *sluice_lake_dbz_put_bytes(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n,
                                   uint8_t *p);

static inline uint8_t *sluice_lake_dbz_put(uint8_t *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}
/* A literal. */
#define SLUICE_LAKE_DBZ_PUT(p, text) sluice_lake_dbz_put(p, text, sizeof(text) - 1)

/* ---- debezium_numbers.c ---- */

/* A float as Java prints it: at least one digit behind the point, E notation from 10^7 up and below
 * 10^-3; NaN and infinities between quotes. 40 bytes at most. The text forms take what PostgreSQL
 * prints and answer NULL for anything else. */
uint8_t *sluice_lake_dbz_put_f64(uint8_t *p, double v);
uint8_t *sluice_lake_dbz_put_f32(uint8_t *p, float v);
uint8_t *sluice_lake_dbz_put_float_text(uint8_t *p, const uint8_t *s, size_t n);
/* PostgreSQL's text of a float8, read back. 0 if it is none. */
int32_t sluice_lake_dbz_read_f64(const uint8_t *s, size_t n, double *out);

/* The integer of `width` little-endian bytes as Java's BigInteger gives its bytes, in base64
 * between quotes. */
uint8_t *sluice_lake_dbz_put_unscaled(struct sluice_lake_dbz *enc, const uint8_t *value,
                                      uint32_t width, uint8_t *p);
/* A decimal as a double. */
uint8_t *sluice_lake_dbz_put_decimal_double(const uint8_t *value, int32_t width, int32_t scale,
                                            uint8_t *p);

/* numeric and money as text; the parts of it. */
struct sluice_lake_dbz_number {
    const uint8_t *s; /* digits and perhaps a point, without sign */
    size_t n;
    size_t digits;   /* how many digits */
    size_t fraction; /* of them behind the point */
    int32_t negative;
};
/* 0 if it is no number. */
int32_t sluice_lake_dbz_number_read(const uint8_t *s, size_t n, struct sluice_lake_dbz_number *out);
/* The digits as one integer with `zeros` more behind it, as put_unscaled. */
uint8_t *sluice_lake_dbz_put_number_unscaled(struct sluice_lake_dbz *enc,
                                             const struct sluice_lake_dbz_number *number,
                                             size_t zeros, uint8_t *p);
uint8_t *sluice_lake_dbz_put_number_double(struct sluice_lake_dbz *enc,
                                           const struct sluice_lake_dbz_number *number, uint8_t *p);

/* ---- debezium_times.c ---- */

/* How dates, times, timestamps are written under an option; NULL for other kinds. */
sluice_lake_dbz_moment_fn sluice_lake_dbz_moment(int32_t time_precision_mode, int32_t kind,
                                                 int32_t digits);
/* Texts to days or microseconds; infinities are the largest and smallest integer (dates: of 32
 * bits). 0 if it is none. */
int32_t sluice_lake_dbz_read_date(const uint8_t *s, size_t n, int64_t *days);
int32_t sluice_lake_dbz_read_time(const uint8_t *s, size_t n, int64_t *us);
int32_t sluice_lake_dbz_read_timestamp(const uint8_t *s, size_t n, int64_t *us);

uint8_t *sluice_lake_dbz_text_timetz(struct sluice_lake_dbz *enc,
                                     const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                     size_t n, uint8_t *p);
uint8_t *sluice_lake_dbz_text_interval(struct sluice_lake_dbz *enc,
                                       const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                       size_t n, uint8_t *p);
/* Months, days and nanoseconds, as Arrow has them. */
uint8_t *sluice_lake_dbz_put_interval(struct sluice_lake_dbz *enc, int32_t months, int32_t days,
                                      int64_t ns, uint8_t *p);

/* ---- debezium_shapes.c ---- */

/* Geometric types, PostGIS, vectors. Text that is no such value becomes a string, since a type of
 * the user's may have that name. */
uint8_t *sluice_lake_dbz_text_shape(struct sluice_lake_dbz *enc,
                                    const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                    size_t n, uint8_t *p);

#endif /* SLUICE_COMMON_LAKE_DEBEZIUM_H */
