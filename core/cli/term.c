#include "term.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0') {
            return strcasestr(value, "UTF-8") != NULL || strcasestr(value, "UTF8") != NULL;
        }
    }
    return 0;
}

void sluice_cli_term_init(struct sluice_cli_term *term, int fd, int no_color)
{
    const char *type = getenv("TERM");
    const char *plain = getenv("NO_COLOR");
    memset(term, 0, sizeof *term);
    term->fd = fd;
    term->is_terminal = isatty(fd) && type != NULL && type[0] != '\0' && strcmp(type, "dumb") != 0;
    term->color = term->is_terminal && !no_color && (plain == NULL || plain[0] == '\0');
    term->unicode = locale_is_utf8();
    sluice_cli_term_resize(term);
}

void sluice_cli_term_resize(struct sluice_cli_term *term)
{
    struct winsize size;
    if (!term->is_terminal) {
        term->width = 0;
        term->height = 0;
        return;
    }
    memset(&size, 0, sizeof size);
    if (ioctl(term->fd, TIOCGWINSZ, &size) != 0) {
        size.ws_col = 0;
        size.ws_row = 0;
    }
    term->width = size.ws_col > 0 ? size.ws_col : 80;
    term->height = size.ws_row > 0 ? size.ws_row : 24;
}

const char *sluice_cli_term_begin(const struct sluice_cli_term *term, int style)
{
    static const char *const codes[] = {"",         "\033[1m",  "\033[2m", "\033[32m",
                                        "\033[33m", "\033[31m", "\033[36m"};
    return term->color ? codes[style] : "";
}

const char *sluice_cli_term_end(const struct sluice_cli_term *term, int style)
{
    return term->color && style != SLUICE_STYLE_NONE ? "\033[0m" : "";
}

void sluice_cli_term_append(const struct sluice_cli_term *term, struct sluice_str *out, int style,
                            const char *text)
{
    sluice_str_append(out, sluice_cli_term_begin(term, style));
    sluice_str_append(out, text);
    sluice_str_append(out, sluice_cli_term_end(term, style));
}

int sluice_cli_term_write(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);
        if (n >= 0) {
            data += n;
            size -= (size_t)n;
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            /* Somebody made the terminal non-blocking; wait for room, but not for ever. */
            struct pollfd room = {fd, POLLOUT, 0};
            if (poll(&room, 1, 1000) > 0) {
                continue;
            }
            return 0;
        }
        if (errno != EINTR) {
            return 0;
        }
    }
    return 1;
}
