/*
 * A statement that grows. [any]
 */
#ifndef SQLSERVER_TEXT_H
#define SQLSERVER_TEXT_H

#include <stddef.h>

/* Zero to begin with; whoever made it frees `data`. */
struct ms_text {
    char *data;
    size_t size;
    size_t cap;
    int failed; /* no memory: the text is not whole */
};

void ms_text_add(struct ms_text *text, const char *piece);
/* A name in brackets. */
void ms_text_add_name(struct ms_text *text, const char *name);

#endif /* SQLSERVER_TEXT_H */
