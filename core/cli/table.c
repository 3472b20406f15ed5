#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "text.h"

/* A column is never cut below this. */
#define COLUMN_LEAST 8

#define GAP 2

void sluice_cli_table_init(struct sluice_cli_table *table, size_t columns,
                           const char *const *headers, uint32_t right, uint32_t shrink)
{
    memset(table, 0, sizeof *table);
    table->columns = columns;
    table->right = right;
    table->shrink = shrink;
    table->no_header = headers == NULL;
    for (size_t i = 0; headers != NULL && i < columns; i++) {
        sluice_cli_table_add(table, SLUICE_STYLE_DIM, headers[i]);
    }
}

void sluice_cli_table_free(struct sluice_cli_table *table)
{
    for (size_t i = 0; i < table->count; i++) {
        sluice_free(table->cells[i].text);
    }
    sluice_free(table->cells);
    memset(table, 0, sizeof *table);
}

void sluice_cli_table_add(struct sluice_cli_table *table, int style, const char *text)
{
    struct sluice_str safe = SLUICE_STR_INIT;
    if (!sluice_alloc_grow((void **)&table->cells, &table->cap, table->count + 1,
                           sizeof *table->cells)) {
        table->failed = 1;
        return;
    }
    sluice_cli_text_escape(&safe, text != NULL ? text : "-");
    struct sluice_cli_cell *cell = &table->cells[table->count];
    cell->text = sluice_str_steal(&safe);
    cell->style = style;
    if (cell->text == NULL) {
        table->failed = 1;
        return;
    }
    table->count++;
}

void sluice_cli_table_addf(struct sluice_cli_table *table, int style, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    sluice_cli_table_add(table, style, text);
}

void sluice_cli_table_add_count(struct sluice_cli_table *table, int64_t n)
{
    char text[32];
    if (n < 0) {
        sluice_cli_table_add(table, SLUICE_STYLE_NONE, NULL);
        return;
    }
    sluice_count_format((uint64_t)n, text);
    sluice_cli_table_add(table, SLUICE_STYLE_NONE, text);
}

size_t sluice_cli_table_rows(const struct sluice_cli_table *table)
{
    size_t rows = table->columns > 0 ? table->count / table->columns : 0;
    return rows > 0 && !table->no_header ? rows - 1 : rows;
}

static void column_widths(const struct sluice_cli_table *table, size_t limit, size_t *widths)
{
    size_t total = table->indent;
    for (size_t c = 0; c < table->columns; c++) {
        widths[c] = 0;
        for (size_t i = c; i < table->count; i += table->columns) {
            size_t width = sluice_cli_text_width(table->cells[i].text);
            if (width > widths[c]) {
                widths[c] = width;
            }
        }
        total += widths[c] + (c > 0 ? GAP : 0);
    }
    /* Take from the widest column that may be cut, until the row fits. */
    while (limit > 0 && total > limit) {
        size_t widest = table->columns;
        for (size_t c = 0; c < table->columns; c++) {
            if ((table->shrink >> c & 1) != 0 && widths[c] > COLUMN_LEAST &&
                (widest == table->columns || widths[c] > widths[widest])) {
                widest = c;
            }
        }
        if (widest == table->columns) {
            return;
        }
        widths[widest]--;
        total--;
    }
}

void sluice_cli_table_render(const struct sluice_cli_table *table,
                             const struct sluice_cli_term *term, struct sluice_str *out)
{
    size_t widths[SLUICE_CLI_TABLE_COLUMNS];
    if (table->failed || table->columns == 0 || table->columns > SLUICE_CLI_TABLE_COLUMNS) {
        out->failed = out->failed || table->failed;
        return;
    }
    column_widths(table, term->width, widths);
    for (size_t i = 0; i + table->columns <= table->count; i += table->columns) {
        sluice_cli_text_pad(out, table->indent);
        for (size_t c = 0; c < table->columns; c++) {
            const struct sluice_cli_cell *cell = &table->cells[i + c];
            size_t width = sluice_cli_text_width(cell->text);
            size_t shown = width < widths[c] ? width : widths[c];
            int last = c + 1 == table->columns;
            if ((table->right >> c & 1) != 0) {
                sluice_cli_text_pad(out, widths[c] - shown);
            }
            sluice_str_append(out, sluice_cli_term_begin(term, cell->style));
            shown = sluice_cli_text_cut(out, cell->text, widths[c], term->unicode);
            sluice_str_append(out, sluice_cli_term_end(term, cell->style));
            if ((table->right >> c & 1) == 0 && !last) {
                sluice_cli_text_pad(out, widths[c] - shown);
            }
            if (!last) {
                sluice_cli_text_pad(out, GAP);
            }
        }
        while (out->size > 0 && out->data[out->size - 1] == ' ') {
            out->data[--out->size] = '\0';
        }
        sluice_str_append_char(out, '\n');
    }
}

void sluice_cli_bar(struct sluice_str *out, double share, size_t width, int unicode)
{
    static const char *const eighths[] = {"",       "\u258f", "\u258e", "\u258d",
                                          "\u258c", "\u258b", "\u258a", "\u2589"};
    double full = share > 0 ? (share < 1 ? share : 1) * (double)width : 0;
    size_t whole = (size_t)full;
    size_t part = unicode && whole < width ? (size_t)((full - (double)whole) * 8) : 0;
    for (size_t i = 0; i < whole; i++) {
        sluice_str_append(out, unicode ? "\u2588" : "#");
    }
    sluice_str_append(out, eighths[part]);
    for (size_t i = whole + (part > 0); i < width; i++) {
        sluice_str_append(out, unicode ? "\u2591" : "-");
    }
}
