#include "text.h"

#include <stdlib.h>
#include <string.h>

#include "tds/conn.h"

void ms_text_add(struct ms_text *t, const char *piece)
{
    const size_t n = strlen(piece);
    if (t->size + n + 1 > t->cap) {
        const size_t cap = (t->size + n + 1) * 2;
        char *grown = realloc(t->data, cap);
        if (grown == NULL) {
            t->failed = 1;
            return;
        }
        t->data = grown;
        t->cap = cap;
    }
    memcpy(t->data + t->size, piece, n + 1);
    t->size += n;
}

void ms_text_add_name(struct ms_text *t, const char *name)
{
    char quoted[2 * 132 * 4 + 16];
    (void)sluice_tds_quote(name, quoted, sizeof quoted);
    ms_text_add(t, quoted);
}
