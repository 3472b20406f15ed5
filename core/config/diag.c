#include "config/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void sluice_diags_init(struct sluice_diags *diags, const char *file)
{
    memset(diags, 0, sizeof *diags);
    diags->file = sluice_alloc_string(file);
}

static void item_free(struct sluice_diag *item)
{
    sluice_free(item->path);
    sluice_free(item->message);
    sluice_free(item->hint);
}

void sluice_diags_free(struct sluice_diags *diags)
{
    for (size_t i = 0; i < diags->count; i++) {
        item_free(&diags->items[i]);
    }
    sluice_free(diags->items);
    sluice_free(diags->file);
    memset(diags, 0, sizeof *diags);
}

static char *format_text(const char *format, va_list args) SLUICE_PRINTF(1, 0);

static char *format_text(const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (size < 0) {
        return NULL;
    }
    char *text = (char *)sluice_alloc((size_t)size + 1);
    if (text != NULL) {
        (void)vsnprintf(text, (size_t)size + 1, format, args);
    }
    return text;
}

/* Keeps the finding; what cannot be allocated is left out. Moves `message`. */
static void keep(struct sluice_diags *diags, const struct sluice_diag *place, const char *path,
                 const char *hint, char *message)
{
    struct sluice_diag item = *place;
    item.path = sluice_alloc_string(path != NULL ? path : "");
    item.hint = sluice_alloc_string(hint);
    item.message = message;
    int complete = item.path != NULL && item.message != NULL && (hint == NULL || item.hint != NULL);
    if (!complete || !sluice_alloc_grow((void **)&diags->items, &diags->cap, diags->count + 1,
                                        sizeof *diags->items)) {
        item_free(&item);
        return;
    }
    diags->items[diags->count++] = item;
}

void sluice_diags_add(struct sluice_diags *diags, int32_t severity, uint32_t line, uint32_t column,
                      const char *path, const char *hint, const char *format, ...)
{
    if (severity == SLUICE_DIAG_ERROR) {
        diags->errors++;
    }
    else {
        diags->warnings++;
    }
    if (diags->count > SLUICE_DIAGS_MAX) {
        return;
    }
    if (diags->count == SLUICE_DIAGS_MAX) {
        const struct sluice_diag nowhere = {severity, 0, 0, NULL, NULL, NULL};
        keep(diags, &nowhere, NULL, NULL,
             sluice_alloc_string("there are more problems; mend these first"));
        return;
    }
    const struct sluice_diag place = {severity, line, column, NULL, NULL, NULL};
    va_list args;
    va_start(args, format);
    char *message = format_text(format, args);
    va_end(args);
    keep(diags, &place, path, hint, message);
}

/* 1 if `a` stands behind `b`. */
static int is_behind(const struct sluice_diag *a, const struct sluice_diag *b)
{
    /* No place (0) wraps round to the largest, so those come last. */
    uint32_t line_a = a->line - 1u;
    uint32_t line_b = b->line - 1u;
    return line_a != line_b ? line_a > line_b : a->column > b->column;
}

void sluice_diags_sort(struct sluice_diags *diags)
{
    /* By insertion: stable, and there are never many. */
    for (size_t i = 1; i < diags->count; i++) {
        struct sluice_diag item = diags->items[i];
        size_t to = i;
        while (to > 0 && is_behind(&diags->items[to - 1], &item)) {
            diags->items[to] = diags->items[to - 1];
            to--;
        }
        diags->items[to] = item;
    }
}
