/*
 * What an output stream is: a terminal or not, how large, whether colours and unicode may be used.
 */
#ifndef SLUICE_CLI_TERM_H
#define SLUICE_CLI_TERM_H

#include <stddef.h>

#include "base/str.h"

enum {
    SLUICE_STYLE_NONE = 0,
    SLUICE_STYLE_BOLD = 1,
    SLUICE_STYLE_DIM = 2,
    SLUICE_STYLE_GOOD = 3,
    SLUICE_STYLE_WARN = 4,
    SLUICE_STYLE_BAD = 5,
    SLUICE_STYLE_NAME = 6
};

struct sluice_cli_term {
    int fd;
    int is_terminal; /* and one that can move the cursor */
    int color;
    int unicode;
    size_t width; /* 0 = unlimited: not a terminal */
    size_t height;
};

/* Looks at the descriptor and the environment (NO_COLOR, TERM, LC_ALL, LC_CTYPE, LANG). [ctl] */
void sluice_cli_term_init(struct sluice_cli_term *term, int fd, int no_color);
/* Reads the size anew. [any] */
void sluice_cli_term_resize(struct sluice_cli_term *term);

/* Begin and end of a style: "" without colours. */
const char *sluice_cli_term_begin(const struct sluice_cli_term *term, int style);
const char *sluice_cli_term_end(const struct sluice_cli_term *term, int style);
/* Appends text that is already harmless, in a style. */
void sluice_cli_term_append(const struct sluice_cli_term *term, struct sluice_str *out, int style,
                            const char *text);

/* Writes all, whatever it takes; 0 = it could not (errno says why). [any] */
int sluice_cli_term_write(int fd, const char *data, size_t size);

#endif /* SLUICE_CLI_TERM_H */
