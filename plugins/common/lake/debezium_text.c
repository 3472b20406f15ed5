/*
 * Values that come as PostgreSQL's output text: utf8 columns, and the elements of arrays. Text comes
 * from a server: what does not fit its type fails the row.
 */
#include "lake/debezium.h"
#include "lake/digits.h"
#include "lake/escape.h"

enum {
    SHORT_TEXT = 64,       /* up to here: copied first, looked at on the way */
    PLAIN_TEXT = 2048,     /* up to here: the room for the worst case is made at once */
    BASE64_PIECE = 3 * 512 /* divides by 3: no padding between pieces */
};

#define TEXT_FN(name)                                                                          \
    static uint8_t *name(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell, \
                         const uint8_t *s, size_t n, uint8_t *p)

uint8_t *sluice_lake_dbz_fail(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                              const char *what, uint8_t *p)
{
    if (enc->out->status >= 0) {
        enc->out->status = sluice_error_set(enc->out->err, SLUICE_E_DATA, 0,
                                            "column \"%.200s\": %s", cell->name, what);
        if (enc->out->err != NULL) {
            enc->out->err->row = enc->row;
        }
    }
    return p;
}

uint8_t *sluice_lake_dbz_scratch(struct sluice_lake_dbz *enc, int32_t which, uint64_t size)
{
    struct sluice_lake_dbz_buffer *buf = &enc->scratch[which];
    sluice_status st = sluice_lake_dbz_buffer_room(buf, size, enc->out->err);
    if (st < 0) {
        sluice_lake_out_fail(enc->out, st);
        return NULL;
    }
    return buf->data;
}

/* ---------------------------------------------------------------- strings and bytes ---------- */

uint8_t *sluice_lake_dbz_put_string(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n,
                                    uint8_t *p)
{
    if (n <= PLAIN_TEXT) {
        p = sluice_lake_out_room(enc->out, p, n * 6 + SLUICE_LAKE_SLACK);
        *p++ = '"';
        if (n <= SHORT_TEXT && sluice_lake_json_copy_clean(p, s, n)) {
            p += n;
        }
        else {
            p = sluice_lake_json_escape(p, s, n);
        }
        *p++ = '"';
        return p;
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    p = sluice_lake_json_text(enc->out, p, s, n);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

/* Pieces go to the chunk with the standard alphabet and are then gone over. */
static uint8_t *put_base64_url(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n, uint8_t *p)
{
    while (n > 0) {
        size_t take = n < BASE64_PIECE ? n : BASE64_PIECE;
        p = sluice_lake_out_room(enc->out, p, BASE64_PIECE * 2);
        uint8_t *end = sluice_lake_put_base64(enc->out, p, s, take);
        for (; p < end; p++) {
            *p = *p == '+' ? (uint8_t)'-' : *p == '/' ? (uint8_t)'_' : *p;
        }
        s += take;
        n -= take;
    }
    return p;
}

uint8_t *sluice_lake_dbz_put_bytes(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n,
                                   uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    switch (enc->options->binary_handling_mode) {
    case SLUICE_LAKE_BYTES_HEX:
        p = sluice_lake_put_hex(enc->out, p, s, n);
        break;
    case SLUICE_LAKE_BYTES_BASE64_URL:
        p = put_base64_url(enc, s, n, p);
        break;
    default:
        p = sluice_lake_put_base64(enc->out, p, s, n);
        break;
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

TEXT_FN(text_string)
{
    (void)cell;
    return sluice_lake_dbz_put_string(enc, s, n, p);
}

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

/* `\x` and hex digits */
TEXT_FN(text_bytes)
{
    uint8_t *bytes = NULL;
    if (n < 2 || n % 2 != 0 || s[0] != '\\' || s[1] != 'x') {
        return sluice_lake_dbz_fail(enc, cell, "bytea in hex expected", p);
    }
    bytes = sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE, n / 2);
    if (bytes == NULL) {
        return p;
    }
    for (size_t i = 1; i < n / 2; i++) {
        int32_t high = hex_value(s[i * 2]);
        int32_t low = hex_value(s[i * 2 + 1]);
        if (high < 0 || low < 0) {
            return sluice_lake_dbz_fail(enc, cell, "bytea has a character that is no hex digit", p);
        }
        bytes[i - 1] = (uint8_t)(high << 4 | low);
    }
    return sluice_lake_dbz_put_bytes(enc, bytes, n / 2 - 1, p);
}

/* ---------------------------------------------------------------- numbers -------------------- */

static int32_t is_text(const uint8_t *s, size_t n, const char *text)
{
    return n == strlen(text) && memcmp(s, text, n) == 0;
}

TEXT_FN(text_bool)
{
    if (n != 1 || (*s != 't' && *s != 'f')) {
        return sluice_lake_dbz_fail(enc, cell, "boolean expected", p);
    }
    p = sluice_lake_out_room(enc->out, p, 8);
    return *s == 't' ? SLUICE_LAKE_DBZ_PUT(p, "true") : SLUICE_LAKE_DBZ_PUT(p, "false");
}

TEXT_FN(text_number)
{
    struct sluice_lake_dbz_number number;
    (void)cell;
    if (sluice_lake_dbz_number_read(s, n, &number) && number.s[0] != '.' &&
        number.s[number.n - 1] != '.' &&
        (number.s[0] != '0' || number.n == 1 || number.s[1] == '.')) {
        return sluice_lake_out_bytes(enc->out, p, s, n);
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    uint8_t *end = sluice_lake_dbz_put_float_text(p, s, n);
    return end != NULL ? end : sluice_lake_dbz_put_string(enc, s, n, p);
}

TEXT_FN(text_float)
{
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    uint8_t *end = sluice_lake_dbz_put_float_text(p, s, n);
    return end != NULL ? end : sluice_lake_dbz_fail(enc, cell, "floating-point number expected", p);
}

static uint8_t *put_number_text(struct sluice_lake_dbz *enc, const uint8_t *s, size_t n, uint8_t *p)
{
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    p = sluice_lake_out_bytes(enc->out, p, s, n);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

/* NaN and infinities, by the names that Debezium gives them; anything else is an error. */
static uint8_t *put_special_number(struct sluice_lake_dbz *enc,
                                   const struct sluice_lake_dbz_cell *cell, const uint8_t *s,
                                   size_t n, uint8_t *p)
{
    const char *name = is_text(s, n, "NaN")         ? "\"NAN\""
                       : is_text(s, n, "Infinity")  ? "\"POSITIVE_INFINITY\""
                       : is_text(s, n, "-Infinity") ? "\"NEGATIVE_INFINITY\""
                                                    : NULL;
    if (name == NULL) {
        return sluice_lake_dbz_fail(enc, cell, "number expected", p);
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    switch (enc->options->decimal_handling_mode) {
    case SLUICE_LAKE_DECIMAL_STRING:
        return sluice_lake_dbz_put(p, name, strlen(name));
    case SLUICE_LAKE_DECIMAL_DOUBLE:
        return sluice_lake_dbz_put_float_text(p, s, n);
    default:
        return sluice_lake_dbz_fail(enc, cell,
                                    "NaN and infinities have no form under decimal_handling_mode "
                                    "precise (hint: string or double)",
                                    p);
    }
}

/* The digits as an integer of the column's scale. */
static uint8_t *put_scaled(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                           struct sluice_lake_dbz_number *number, uint8_t *p)
{
    size_t scale = cell->scale > 0 ? (size_t)cell->scale : 0;
    if (number->fraction > scale) {
        return sluice_lake_dbz_fail(enc, cell, "more digits behind the point than declared", p);
    }
    return sluice_lake_dbz_put_number_unscaled(enc, number, scale - number->fraction, p);
}

/* {"scale":…,"value":…}, without zeros at the end of the fraction. */
static uint8_t *put_variable(struct sluice_lake_dbz *enc, struct sluice_lake_dbz_number *number,
                             uint8_t *p)
{
    while (number->fraction > 0 && number->s[number->n - 1] == '0') {
        number->n--;
        number->fraction--;
        number->digits--;
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    p = SLUICE_LAKE_DBZ_PUT(p, "{\"scale\":");
    p = sluice_lake_put_u64(p, number->fraction);
    p = SLUICE_LAKE_DBZ_PUT(p, ",\"value\":");
    p = sluice_lake_dbz_put_number_unscaled(enc, number, 0, p);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '}';
    return p;
}

TEXT_FN(text_decimal)
{
    struct sluice_lake_dbz_number number;
    if (!sluice_lake_dbz_number_read(s, n, &number)) {
        return put_special_number(enc, cell, s, n, p);
    }
    switch (enc->options->decimal_handling_mode) {
    case SLUICE_LAKE_DECIMAL_STRING:
        return put_number_text(enc, s, n, p);
    case SLUICE_LAKE_DECIMAL_DOUBLE:
        return sluice_lake_dbz_put_number_double(enc, &number, p);
    default:
        return cell->kind == SLUICE_LAKE_DBZ_VARIABLE ? put_variable(enc, &number, p)
                                                      : put_scaled(enc, cell, &number, p);
    }
}

/* `-$1,234.50`, `($1.00)`: without sign, currency and groups it is a number. */
TEXT_FN(text_money)
{
    uint8_t text[64];
    size_t size = 0;
    int32_t negative = 0;
    for (size_t i = 0; i < n; i++) {
        int32_t digit = (s[i] >= '0' && s[i] <= '9') || (s[i] == '.' && size > 0);
        negative |= s[i] == '-' || s[i] == '(';
        if (digit && size == 0 && negative) {
            text[size++] = '-';
        }
        if (digit && size < sizeof text) {
            text[size++] = s[i];
        }
    }
    if (size == 0 || size == sizeof text) {
        return sluice_lake_dbz_fail(enc, cell, "money expected", p);
    }
    return text_decimal(enc, cell, text, size, p);
}

/* ---------------------------------------------------------------- bits ----------------------- */

/* The rightmost bit is bit 0 of byte 0; bytes that are zero at the end are left out. */
TEXT_FN(text_bits)
{
    size_t first = 0;
    while (first < n && s[first] == '0') {
        first++;
    }
    size_t size = (n - first + 7) / 8;
    uint8_t *bytes = sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE, size + 1);
    if (bytes == NULL) {
        return p;
    }
    memset(bytes, 0, size);
    for (size_t i = first; i < n; i++) {
        size_t bit = n - 1 - i;
        if (s[i] == '1') {
            bytes[bit / 8] = (uint8_t)(bytes[bit / 8] | (1u << (bit % 8)));
        }
        else if (s[i] != '0') {
            return sluice_lake_dbz_fail(enc, cell, "bits expected", p);
        }
    }
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    p = sluice_lake_put_base64(enc->out, p, bytes, size);
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = '"';
    return p;
}

TEXT_FN(text_bit)
{
    (void)cell;
    p = sluice_lake_out_room(enc->out, p, 8);
    return memchr(s, '1', n) != NULL ? SLUICE_LAKE_DBZ_PUT(p, "true")
                                     : SLUICE_LAKE_DBZ_PUT(p, "false");
}

/* ---------------------------------------------------------------- times ---------------------- */

TEXT_FN(text_moment)
{
    int64_t v = 0;
    int32_t good = cell->kind == SLUICE_LAKE_DBZ_DATE   ? sluice_lake_dbz_read_date(s, n, &v)
                   : cell->kind == SLUICE_LAKE_DBZ_TIME ? sluice_lake_dbz_read_time(s, n, &v)
                                                        : sluice_lake_dbz_read_timestamp(s, n, &v);
    if (!good) {
        return sluice_lake_dbz_fail(enc, cell,
                                    "date, time or timestamp within the range of 64 bits of "
                                    "microseconds expected",
                                    p);
    }
    p = sluice_lake_out_room(enc->out, p, SLUICE_LAKE_DBZ_ROOM);
    return cell->moment(enc, cell, v, p);
}

/* ---------------------------------------------------------------- hstore --------------------- */

/* `"key"` at s, escaped as JSON to `to` (six times its length is free there). NULL when malformed. */
static uint8_t *hstore_string(const uint8_t **s, const uint8_t *end, uint8_t *to)
{
    const uint8_t *p = *s;
    if (p == end || *p != '"') {
        return NULL;
    }
    *to++ = '"';
    for (p++; p < end && *p != '"'; p++) {
        if (*p == '\\' && ++p == end) {
            return NULL;
        }
        to = sluice_lake_json_escape(to, p, 1);
    }
    if (p == end) {
        return NULL;
    }
    *to++ = '"';
    *s = p + 1;
    return to;
}

static int32_t skip(const uint8_t **s, const uint8_t *end, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(end - *s) < n || memcmp(*s, text, n) != 0) {
        return 0;
    }
    *s += n;
    return 1;
}

/* `"a"=>"1", "b"=>NULL` to an object; its end, or NULL. */
static uint8_t *hstore_object(const uint8_t *s, size_t n, uint8_t *to)
{
    const uint8_t *end = s + n;
    *to++ = '{';
    while (s < end) {
        to = hstore_string(&s, end, to);
        if (to == NULL || !skip(&s, end, "=>")) {
            return NULL;
        }
        *to++ = ':';
        if (skip(&s, end, "NULL")) {
            to = SLUICE_LAKE_DBZ_PUT(to, "null");
        }
        else if ((to = hstore_string(&s, end, to)) == NULL) {
            return NULL;
        }
        if (s < end) {
            if (!skip(&s, end, ", ") || s == end) {
                return NULL;
            }
            *to++ = ',';
        }
    }
    *to++ = '}';
    return to;
}

TEXT_FN(text_hstore)
{
    uint8_t *text = sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_VALUE,
                                            (uint64_t)n * 6 + SLUICE_LAKE_SLACK);
    if (text == NULL) {
        return p;
    }
    (void)cell;
    uint8_t *end = hstore_object(s, n, text);
    if (end == NULL) { /* a type of the user's with that name */
        return sluice_lake_dbz_put_string(enc, s, n, p);
    }
    if (enc->options->hstore_handling_mode == SLUICE_LAKE_HSTORE_MAP) {
        return sluice_lake_out_bytes(enc->out, p, text, (size_t)(end - text));
    }
    return sluice_lake_dbz_put_string(enc, text, (size_t)(end - text), p);
}

/* ---------------------------------------------------------------- arrays --------------------- */

static uint8_t *put_byte(struct sluice_lake_dbz *enc, uint8_t *p, char c)
{
    p = sluice_lake_out_room(enc->out, p, 1);
    *p++ = (uint8_t)c;
    return p;
}

/* An element at *s: quoted, or up to a delimiter or brace. Advances *s; NULL to *s = malformed. */
static uint8_t *array_element(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                              const uint8_t **s, const uint8_t *end, uint8_t *p)
{
    const uint8_t *at = *s;
    int32_t quoted = *at == '"';
    uint8_t *item =
        sluice_lake_dbz_scratch(enc, SLUICE_LAKE_DBZ_SCRATCH_ITEM, (uint64_t)(end - at) + 1);
    size_t n = 0;
    *s = NULL;
    if (item == NULL) {
        return p;
    }
    for (at += quoted; at < end; at++) {
        if (quoted ? *at == '"' : (*at == cell->delimiter || *at == '{' || *at == '}')) {
            break;
        }
        if (*at == '\\' && ++at == end) {
            return p;
        }
        item[n++] = *at;
    }
    if (at == end || (!quoted && (n == 0 || *at == '{'))) {
        return p;
    }
    *s = at + quoted;
    if (!quoted && is_text(item, n, "NULL")) {
        p = sluice_lake_out_room(enc->out, p, 4);
        return SLUICE_LAKE_DBZ_PUT(p, "null");
    }
    return cell->text(enc, cell, item, n, p);
}

/* What may come next in an array literal. */
enum { WANT_FIRST = 1, WANT_ITEM, WANT_NEXT };

/* `{a,"b c",NULL}`, nested by dimensions, perhaps with bounds in front: `[2:3]={1,2}`. */
static uint8_t *put_array(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                          const uint8_t *s, size_t n, uint8_t *p)
{
    const uint8_t *end = s + n;
    int32_t depth = 0;
    int32_t want = WANT_FIRST;
    if (n > 0 && *s == '[') {
        const uint8_t *equals = memchr(s, '=', n);
        s = equals != NULL ? equals + 1 : end;
    }
    if (s == end || *s != '{') {
        return sluice_lake_dbz_fail(enc, cell, "array expected", p);
    }
    while (s < end && enc->out->status >= 0) {
        if (*s == '{' && want != WANT_NEXT && depth < SLUICE_LAKE_DBZ_ARRAY_DIMS) {
            p = put_byte(enc, p, '[');
            want = WANT_FIRST;
            depth++;
            s++;
        }
        else if (*s == '}' && want != WANT_ITEM && depth > 0) {
            p = put_byte(enc, p, ']');
            want = WANT_NEXT;
            s++;
            if (--depth == 0) {
                break;
            }
        }
        else if (*s == cell->delimiter && want == WANT_NEXT) {
            p = put_byte(enc, p, ',');
            want = WANT_ITEM;
            s++;
        }
        else if (want == WANT_NEXT || *s == '{') {
            return sluice_lake_dbz_fail(enc, cell, "array out of shape", p);
        }
        else {
            p = array_element(enc, cell, &s, end, p);
            want = WANT_NEXT;
            if (s == NULL) {
                return sluice_lake_dbz_fail(enc, cell, "element of an array out of shape", p);
            }
        }
    }
    if (enc->out->status >= 0 && (depth != 0 || s != end)) {
        return sluice_lake_dbz_fail(enc, cell, "braces of an array do not match", p);
    }
    return p;
}

/* int2vector, oidvector: `1 2 3` */
static uint8_t *put_vector(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                           const uint8_t *s, size_t n, uint8_t *p)
{
    const uint8_t *end = s + n;
    p = put_byte(enc, p, '[');
    while (s < end && enc->out->status >= 0) {
        const uint8_t *stop = memchr(s, ' ', (size_t)(end - s));
        stop = stop != NULL ? stop : end;
        if (stop == s || stop + 1 == end) {
            return sluice_lake_dbz_fail(enc, cell, "numbers with a blank between them expected", p);
        }
        p = cell->text(enc, cell, s, (size_t)(stop - s), p);
        if (stop < end) {
            p = put_byte(enc, p, ',');
            stop++;
        }
        s = stop;
    }
    return put_byte(enc, p, ']');
}

/* ---------------------------------------------------------------- columns -------------------- */

static uint8_t *cell_text(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                          const struct sluice_view *view, int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_lake_cell_bytes(view, row);
    if (!cell->array) {
        return cell->text(enc, cell, b.data, b.size, p);
    }
    if (cell->delimiter == ' ') {
        return put_vector(enc, cell, b.data, b.size, p);
    }
    return put_array(enc, cell, b.data, b.size, p);
}

/* The commonest column, without the second call. */
static uint8_t *cell_string(struct sluice_lake_dbz *enc, const struct sluice_lake_dbz_cell *cell,
                            const struct sluice_view *view, int64_t row, uint8_t *p)
{
    struct sluice_bytes b = sluice_view_bytes(view, row);
    (void)cell;
    return sluice_lake_dbz_put_string(enc, b.data, b.size, p);
}

void sluice_lake_dbz_text_cell(const struct sluice_lake_change_options *options,
                               const struct sluice_type *type, struct sluice_lake_dbz_cell *cell)
{
    static const sluice_lake_dbz_text_fn texts[SLUICE_LAKE_DBZ_KINDS] = {
        [SLUICE_LAKE_DBZ_STRING] = text_string,
        [SLUICE_LAKE_DBZ_NUMBER] = text_number,
        [SLUICE_LAKE_DBZ_BOOL] = text_bool,
        [SLUICE_LAKE_DBZ_FLOAT] = text_float,
        [SLUICE_LAKE_DBZ_DECIMAL] = text_decimal,
        [SLUICE_LAKE_DBZ_VARIABLE] = text_decimal,
        [SLUICE_LAKE_DBZ_MONEY] = text_money,
        [SLUICE_LAKE_DBZ_BYTES] = text_bytes,
        [SLUICE_LAKE_DBZ_BITS] = text_bits,
        [SLUICE_LAKE_DBZ_BIT] = text_bit,
        [SLUICE_LAKE_DBZ_DATE] = text_moment,
        [SLUICE_LAKE_DBZ_TIME] = text_moment,
        [SLUICE_LAKE_DBZ_TIMETZ] = sluice_lake_dbz_text_timetz,
        [SLUICE_LAKE_DBZ_TIMESTAMP] = text_moment,
        [SLUICE_LAKE_DBZ_TIMESTAMPTZ] = text_moment,
        [SLUICE_LAKE_DBZ_INTERVAL] = sluice_lake_dbz_text_interval,
        [SLUICE_LAKE_DBZ_HSTORE] = text_hstore,
    };
    cell->moment = sluice_lake_dbz_moment(options->time_precision_mode, cell->kind, cell->digits);
    cell->text = texts[cell->kind] != NULL ? texts[cell->kind] : sluice_lake_dbz_text_shape;
    cell->bound = 16;
    cell->fn = cell->kind == SLUICE_LAKE_DBZ_STRING && !cell->array && type->id == SLUICE_TYPE_UTF8
                   ? cell_string
                   : cell_text;
}
