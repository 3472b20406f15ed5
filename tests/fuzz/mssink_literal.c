/*
 * Fuzz target: a text on its way into a statement. Input: a byte that chooses the column, then the text.
 *
 * What the encoder takes must come out as one literal and nothing behind it, which reads as the very same text; what it
 * does not take must be refused with a message.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/array.h"
#include "sluice/build.h"
#include "sqlserver/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    const char *type;
    int32_t length;
    int32_t code_page;
} columns[] = {{"nvarchar", -1, 0},   {"nvarchar", 40, 0},  {"varchar", -1, 1252},
               {"varchar", 20, 1251}, {"varchar", -1, 932}, {"varchar", -1, CODE_PAGE_UTF8},
               {"char", 20, 1252}};

static void check(int holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "%s\n", what);
        abort();
    }
}

/* A text between quotes: doubled ones become one. Answers its size; it must be all there is. */
static size_t read_quoted(const char *p, char *out)
{
    size_t n = 0;
    check(*p == '\'', "no quote at the beginning");
    for (p++; *p != '\0'; p++) {
        if (*p == '\'') {
            if (p[1] != '\'') {
                check(p[1] == '\0', "something stands behind the literal");
                return n;
            }
            p++;
        }
        out[n++] = *p;
    }
    check(0, "the literal does not end");
    return 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* CAST(0x… AS nvarchar(max)): UTF-16 of a text with a NUL; its size in units and the NUL are enough to know. */
static void check_bytes(const char *p, const uint8_t *text, size_t size)
{
    size_t bytes = 0;
    size_t units = 0;
    int nul = 0;
    check(strncmp(p, "CAST(0x", 7) == 0, "no literal");
    for (p += 7; digit(p[0]) >= 0 && digit(p[1]) >= 0; p += 2) {
        bytes++;
    }
    check(strcmp(p, " AS nvarchar(max))") == 0, "something stands behind the bytes");
    for (size_t i = 0; i < size; i++) {
        nul |= text[i] == 0;
        units += (text[i] & 0xc0) != 0x80;
        units += text[i] >= 0xf0;
    }
    check(nul && bytes == units * 2, "bytes that are not those of the text");
}

static void check_literal(const char *literal, const uint8_t *text, size_t size)
{
    if (literal[0] == 'C') {
        check_bytes(literal, text, size);
        return;
    }
    char *out = malloc(strlen(literal) + 1);
    check(out != NULL, "no memory");
    const size_t n = read_quoted(literal[0] == 'N' ? literal + 1 : literal, out);
    check(n == size && (size == 0 || memcmp(out, text, size) == 0), "another text");
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 4096) {
        return 0;
    }
    const size_t choice = data[0] % (sizeof columns / sizeof columns[0]);
    const struct sluice_type utf8 = {SLUICE_TYPE_UTF8, 0, 0, 0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct ArrowSchema schema;
    struct ArrowArray array;
    struct sluice_rows rows = {0};
    struct mssink_type type;
    struct mssink_encoder encoder;
    struct mssink_text literal = {0};
    size_t used = 0;
    check(sluice_schema_init(&schema, 1, &err) >= 0 &&
              sluice_schema_set(&schema, 0, "v", &utf8, 1, NULL, 0, &err) >= 0 &&
              sluice_rows_init(&rows, &schema, 1, &err) >= 0 &&
              sluice_column_put_bytes(&rows.columns[0], data + 1, size - 1, &err) >= 0,
          err.message);
    sluice_rows_end_row(&rows);
    check(sluice_rows_finish(&rows, &array, &err) >= 0, err.message);
    mssink_type_make(columns[choice].type, columns[choice].length, 0, 0, columns[choice].code_page,
                     &type);
    check(mssink_encoder_make(&type, "v", schema.children[0], &encoder, &err) >= 0, err.message);
    check(sluice_views_init(&schema, &array, &encoder.view, &err) >= 0, err.message);
    uint8_t *room = malloc(mssink_encoder_room(&encoder, 0));
    check(room != NULL, "no memory");
    if (mssink_encode(&encoder, 0, room, &used, &err) >= 0) {
        check(used <= mssink_encoder_room(&encoder, 0), "more than the room");
        mssink_literal(&type, (struct sluice_bytes){room, used}, &literal);
        check_literal(literal.data, data + 1, size - 1);
    }
    else {
        check(err.message[0] != '\0' && (err.flags & SLUICE_ERROR_ROW_LEVEL) != 0, "no refusal");
    }
    free(room);
    mssink_text_free(&literal);
    array.release(&array);
    sluice_rows_free(&rows);
    sluice_schema_release(&schema);
    return 0;
}
