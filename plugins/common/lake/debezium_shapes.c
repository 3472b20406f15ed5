/* Geometric types as WKB, PostGIS values, and vectors. */
#include "lake/debezium.h"
#include "lake/digits.h"
#include "lake/escape.h"

enum { WKB_POINT = 1, WKB_LINE_STRING = 2, WKB_POLYGON = 3 };
enum { WKB_HEADER = 9, POINT_BYTES = 16, EWKB_MIN = 9, EWKB_SRID = 0x20000000, FEW = 4 };

#define SHAPE_FN(name)                                                                         \
    static uint8_t *name(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell, \
                         const uint8_t *s, size_t n, uint8_t *p)

/* ---------------------------------------------------------------- reading -------------------- */

struct numbers {
    const uint8_t *p;
    const uint8_t *end;
};

static int32_t is_divider(uint8_t c)
{
    return c != 0 && strchr("()<>[]{}, ", c) != NULL;
}

/* The next number between dividers: 1, 0 = there is none, -1 = something else is there. */
static int32_t next_number(struct numbers *in, double *out)
{
    while (in->p < in->end && is_divider(*in->p)) {
        in->p++;
    }
    const uint8_t *start = in->p;
    while (in->p < in->end && !is_divider(*in->p)) {
        in->p++;
    }
    if (start == in->p) {
        return 0;
    }
    return sluice_lake_dbz_read_f64(start, (size_t)(in->p - start), out) ? 1 : -1;
}

/* Exactly `count` numbers. */
static int32_t read_few(const uint8_t *s, size_t n, double *out, int32_t count)
{
    struct numbers in = {s, s + n};
    double more;
    for (int32_t i = 0; i < count; i++) {
        if (next_number(&in, &out[i]) != 1) {
            return 0;
        }
    }
    return next_number(&in, &more) == 0;
}

/* ---------------------------------------------------------------- WKB ------------------------ */

static uint8_t *wkb_u32(uint8_t *w, uint32_t v)
{
    for (uint32_t i = 0; i < 4; i++) {
        *w++ = (uint8_t)(v >> (8u * i));
    }
    return w;
}

static uint8_t *wkb_f64(uint8_t *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    for (uint32_t i = 0; i < 8; i++) {
        *w++ = (uint8_t)(bits >> (8u * i));
    }
    return w;
}

static uint8_t *wkb_point(uint8_t *w, double x, double y)
{
    return wkb_f64(wkb_f64(w, x), y);
}

static uint8_t *wkb_header(uint8_t *w, uint32_t type)
{
    *w++ = 1; /* little-endian */
    return wkb_u32(w, type);
}

static uint8_t *put_base64(struct sluice_lake_dbz *enc, const uint8_t *data, size_t n, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, 64);
    p = SLUICE_LAKE_DBZ_PUT(p, "\"wkb\":\"");
    p = sluice_lake_put_base64(enc->out, p, data, n);
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    *p++ = '"';
    return p;
}

/* ---------------------------------------------------------------- PostgreSQL's own ----------- */

static uint8_t *put_point(struct sluice_lake_dbz *enc, double x, double y, uint8_t *p)
{
    uint8_t wkb[WKB_HEADER + POINT_BYTES];
    const uint8_t *end = wkb_point(wkb_header(wkb, WKB_POINT), x, y);
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"x\":");
    p = sluice_lake_dbz_put_f64(p, x);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"y\":");
    p = sluice_lake_dbz_put_f64(p, y);
    *p++ = ',';
    p = put_base64(enc, wkb, (size_t)(end - wkb), p);
    return SLUICE_LAKE_DBZ_PUT(p, ",\"srid\":null}");
}

SHAPE_FN(shape_point)
{
    double v[2];
    (void)cell;
    return read_few(s, n, v, 2) ? put_point(enc, v[0], v[1], p) : NULL;
}

SHAPE_FN(shape_circle)
{
    double v[3];
    (void)cell;
    if (!read_few(s, n, v, 3)) {
        return NULL;
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"center\":");
    p = put_point(enc, v[0], v[1], p);
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"radius\":");
    p = sluice_lake_dbz_put_f64(p, v[2]);
    *p++ = '}';
    return p;
}

SHAPE_FN(shape_line)
{
    double v[3];
    (void)cell;
    if (!read_few(s, n, v, 3)) {
        return NULL;
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"a\":");
    p = sluice_lake_dbz_put_f64(p, v[0]);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"b\":");
    p = sluice_lake_dbz_put_f64(p, v[1]);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"c\":");
    p = sluice_lake_dbz_put_f64(p, v[2]);
    *p++ = '}';
    return p;
}

/* {"wkb":…,"srid":null,"extensions":{"type":…}} */
static uint8_t *put_geometry(struct sluice_lake_dbz *enc, const uint8_t *wkb, size_t n,
                             const char *extensions, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '{';
    p = put_base64(enc, wkb, n, p);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"srid\":null,\"extensions\":{\"type\":");
    p = sluice_lake_dbz_put(p, extensions, strlen(extensions));
    return SLUICE_LAKE_DBZ_PUT(p, "}}");
}

/* Two corners, as a ring of five points. */
SHAPE_FN(shape_box)
{
    double v[FEW];
    uint8_t wkb[WKB_HEADER + 4 + 5 * POINT_BYTES];
    (void)cell;
    if (!read_few(s, n, v, FEW)) {
        return NULL;
    }
    uint8_t *w = wkb_u32(wkb_u32(wkb_header(wkb, WKB_POLYGON), 1), 5);
    w = wkb_point(w, v[0], v[1]);
    w = wkb_point(w, v[0], v[3]);
    w = wkb_point(w, v[2], v[3]);
    w = wkb_point(w, v[2], v[1]);
    w = wkb_point(w, v[0], v[1]);
    return put_geometry(enc, wkb, (size_t)(w - wkb), "\"box\"", p);
}

SHAPE_FN(shape_lseg)
{
    double v[FEW];
    uint8_t wkb[WKB_HEADER + 2 * POINT_BYTES];
    (void)cell;
    if (!read_few(s, n, v, FEW)) {
        return NULL;
    }
    uint8_t *w = wkb_u32(wkb_header(wkb, WKB_LINE_STRING), 2);
    w = wkb_point(wkb_point(w, v[0], v[1]), v[2], v[3]);
    return put_geometry(enc, wkb, (size_t)(w - wkb), "\"lseg\"", p);
}

/* Any number of points; a polygon's ring is closed. */
SHAPE_FN(shape_points)
{
    int32_t ring = cell->kind == SLUICE_LAKE_DBZ_POLYGON;
    struct numbers in = {s, s + n};
    double first[2] = {0, 0};
    double v[2] = {0, 0};
    uint32_t count = 0;
    int32_t more = 0;
    /* a number takes two characters or more */
    uint8_t *wkb = sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE,
                                           (uint64_t)n * 4 + WKB_HEADER + 3 * POINT_BYTES);
    if (wkb == NULL) {
        return p;
    }
    uint8_t *w = wkb_header(wkb, ring ? WKB_POLYGON : WKB_LINE_STRING);
    w = ring ? wkb_u32(w, 1) : w;
    uint8_t *at = w; /* of the count */
    w += 4;
    while ((more = next_number(&in, &v[0])) == 1) {
        if (next_number(&in, &v[1]) != 1) {
            return NULL;
        }
        if (count++ == 0) {
            memcpy(first, v, sizeof first);
        }
        w = wkb_point(w, v[0], v[1]);
    }
    if (more < 0 || count == 0) {
        return NULL;
    }
    if (ring && count >= 2 && (first[0] != v[0] || first[1] != v[1])) {
        w = wkb_point(w, first[0], first[1]);
        count++;
    }
    (void)wkb_u32(at, count);
    return put_geometry(enc, wkb, (size_t)(w - wkb),
                        ring          ? "\"polygon\""
                        : s[0] == '[' ? "\"path\",\"closed\":\"false\""
                                      : "\"path\",\"closed\":\"true\"",
                        p);
}

/* ---------------------------------------------------------------- PostGIS -------------------- */

static int32_t hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static uint32_t read_u32(const uint8_t *b, int32_t little)
{
    uint32_t v = 0;
    for (uint32_t i = 0; i < 4; i++) {
        v = v << 8 | b[little ? 3 - i : i];
    }
    return v;
}

/* EWKB in hexadecimal digits */
SHAPE_FN(shape_ewkb)
{
    if (n % 2 != 0 || n / 2 < EWKB_MIN) {
        return NULL;
    }
    uint8_t *b = sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE, n / 2);
    if (b == NULL) {
        return p;
    }
    for (size_t i = 0; i < n / 2; i++) {
        int32_t high = hex_value(s[i * 2]);
        int32_t low = hex_value(s[i * 2 + 1]);
        if (high < 0 || low < 0) {
            return NULL;
        }
        b[i] = (uint8_t)(high << 4 | low);
    }
    int32_t has_srid = (read_u32(b + 1, b[0]) & EWKB_SRID) != 0;
    int32_t srid = (int32_t)read_u32(b + 5, b[0]);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '{';
    p = put_base64(enc, b, n / 2, p);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"srid\":");
    p = has_srid ? sluice_lake_put_i64(p, srid) : SLUICE_LAKE_DBZ_PUT(p, "null");
    if (cell->kind == SLUICE_LAKE_DBZ_GEOMETRY) {
        p = SLUICE_LAKE_DBZ_PUT(p, ",\"extensions\":null");
    }
    *p++ = '}';
    return p;
}

/* ---------------------------------------------------------------- vectors -------------------- */

/* `[1,2.5]` to an array of doubles. */
SHAPE_FN(shape_vector)
{
    struct numbers in = {s, s + n};
    double v = 0;
    int32_t more;
    (void)cell;
    if (n < 2 || s[0] != '[' || s[n - 1] != ']') {
        return NULL;
    }
    while ((more = next_number(&in, &v)) == 1) {
    }
    if (more < 0) {
        return NULL;
    }
    in.p = s;
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '[';
    for (int32_t i = 0; next_number(&in, &v) == 1; i++) {
        p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
        *p = ',';
        p += i > 0 ? 1 : 0;
        p = sluice_lake_dbz_put_f64(p, v);
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = ']';
    return p;
}

/* `1:1.5` of a sparse vector, up to ',' or '}'. */
static int32_t next_entry(struct numbers *in, int64_t *index, double *value)
{
    int64_t at = 0;
    const uint8_t *start = in->p;
    while (in->p < in->end && *in->p >= '0' && *in->p <= '9' && in->p - start < 10) {
        at = at * 10 + (*in->p++ - '0');
    }
    if (in->p == start || in->p == in->end || *in->p != ':') {
        return 0;
    }
    const uint8_t *number = ++in->p;
    while (in->p < in->end && *in->p != ',') {
        in->p++;
    }
    *index = at;
    if (!sluice_lake_dbz_read_f64(number, (size_t)(in->p - number), value)) {
        return 0;
    }
    in->p += in->p < in->end ? 1 : 0;
    return 1;
}

/* `{1:1.5,3:2}/5`; a map whose keys are numbers is an array of pairs in the JSON converter. */
SHAPE_FN(shape_sparse)
{
    const uint8_t *slash = n > 0 ? memchr(s, '/', n) : NULL;
    int64_t index = 0;
    double v = 0;
    (void)cell;
    if (slash == NULL || slash - s < 2 || s[0] != '{' || slash[-1] != '}') {
        return NULL;
    }
    size_t digits = (size_t)(s + n - slash - 1);
    struct sluice_lake_dbz_number dimensions;
    struct numbers in = {s + 1, slash - 1};
    if (digits > 10 || !sluice_lake_dbz_number_read(slash + 1, digits, &dimensions) ||
        dimensions.fraction > 0 || dimensions.negative || dimensions.n != dimensions.digits) {
        return NULL;
    }
    while (in.p < in.end) {
        if (!next_entry(&in, &index, &v)) {
            return NULL;
        }
    }
    in.p = s + 1;
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"dimensions\":");
    p = sluice_lake_dbz_put(p, (const char *)slash + 1, digits);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"vector\":[");
    for (int32_t i = 0; in.p < in.end && next_entry(&in, &index, &v); i++) {
        p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
        *p = ',';
        p += i > 0 ? 1 : 0;
        *p++ = '[';
        p = sluice_lake_put_i64(p, index);
        *p++ = ',';
        p = sluice_lake_dbz_put_f64(p, v);
        *p++ = ']';
    }
    p = sluice_lake_out_room(enc->out, p, 2);
    return SLUICE_LAKE_DBZ_PUT(p, "]}");
}

uint8_t *sluice_lake_dbz_text_shape(struct sluice_lake_dbz *enc,
                                    const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                    size_t n, uint8_t *p)
{
    static const sluice_lake_dbz_text_fn shapes[SLUICE_LAKE_DBZ_KINDS] = {
        [SLUICE_LAKE_DBZ_POINT] = shape_point,
        [SLUICE_LAKE_DBZ_BOX] = shape_box,
        [SLUICE_LAKE_DBZ_LSEG] = shape_lseg,
        [SLUICE_LAKE_DBZ_PATH] = shape_points,
        [SLUICE_LAKE_DBZ_POLYGON] = shape_points,
        [SLUICE_LAKE_DBZ_CIRCLE] = shape_circle,
        [SLUICE_LAKE_DBZ_LINE] = shape_line,
        [SLUICE_LAKE_DBZ_GEOMETRY] = shape_ewkb,
        [SLUICE_LAKE_DBZ_GEOGRAPHY] = shape_ewkb,
        [SLUICE_LAKE_DBZ_VECTOR] = shape_vector,
        [SLUICE_LAKE_DBZ_SPARSE_VECTOR] = shape_sparse,
    };
    /* NULL: nothing was written */
    uint8_t *end = shapes[cell->kind](enc, cell, s, n, p);
    return end != NULL ? end : sluice_lake_dbz_put_string(enc, s, n, p);
}
