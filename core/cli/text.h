/*
 * Text for people: display width of UTF-8, cutting to a width, and making what comes from outside
 * (names, messages) harmless for a terminal. All [any].
 */
#ifndef SLUICE_CLI_TEXT_H
#define SLUICE_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Reads one character of [s, end): its code point, or -1 for a byte that is no UTF-8. *size gets
 * the bytes it takes, at least 1. The range must not be empty. */
int32_t sluice_cli_text_decode(const char *s, const char *end, size_t *size);

/* Whether a character changes how what follows is shown, without being visible itself: controls and
 * direction marks. */
int sluice_cli_text_hostile(int32_t c);

/* Columns that the text takes on a terminal: 0, 1 or 2 a character; escapes of our own (colours)
 * count nothing. */
size_t sluice_cli_text_width(const char *text);

/* Appends the text with every control character, bidirectional override and byte that is no UTF-8
 * written out as \n, \x1b or \u202e: nothing in it can move the cursor, change a colour or forge a
 * line. */
void sluice_cli_text_escape(struct sluice_str *out, const char *text);
void sluice_cli_text_escape_n(struct sluice_str *out, const char *text, size_t size);
/* The same, but line ends stay, followed by `indent` blanks: for messages that have several lines. */
void sluice_cli_text_escape_lines(struct sluice_str *out, const char *text, size_t indent);

/* Appends at most `width` columns of an escaped text; what is cut ends in an ellipsis ("…", or "~"
 * without unicode). Returns the columns appended. */
size_t sluice_cli_text_cut(struct sluice_str *out, const char *text, size_t width, int unicode);

/* Appends n blanks. */
void sluice_cli_text_pad(struct sluice_str *out, size_t n);

/* Copies a text so that it is valid UTF-8: other bytes become U+FFFD. For JSON. */
void sluice_cli_text_repair(struct sluice_str *out, const char *text, size_t size);

#endif /* SLUICE_CLI_TEXT_H */
