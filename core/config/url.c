/* Passwords in addresses: whoever writes user:password@host means to hide it, whatever the option. */
#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "log/log.h"

size_t sluice_url_password(const char *text, size_t *start)
{
    const char *authority = strstr(text, "://");
    if (authority == NULL) {
        return 0;
    }
    authority += 3;
    /* A password that is not percent-encoded may hold any of "/?#": the last '@' before white space
     * counts, so that too much is hidden rather than too little. */
    size_t size = strcspn(authority, " \t\r\n");
    const char *colon = memchr(authority, ':', size);
    const char *at = memrchr(authority, '@', size);
    if (colon == NULL || at == NULL || at <= colon + 1 ||
        memchr(authority, '/', (size_t)(colon - authority)) != NULL) {
        return 0;
    }
    *start = (size_t)(colon + 1 - text);
    return (size_t)(at - colon - 1);
}

void sluice_url_append_shown(struct sluice_str *out, const char *text)
{
    size_t start = 0;
    size_t size = sluice_url_password(text, &start);
    if (size == 0) {
        sluice_str_append(out, text);
        return;
    }
    sluice_str_append_n(out, text, start);
    sluice_str_append(out, "***");
    sluice_str_append(out, text + start + size);
}

static int hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void sluice_url_register_secret(const char *text)
{
    size_t start = 0;
    size_t size = sluice_url_password(text, &start);
    char *copy = size > 0 ? sluice_alloc_string_n(text + start, size) : NULL;
    if (copy == NULL) {
        return;
    }
    sluice_log_secret_add(copy);
    size_t used = 0;
    for (size_t i = 0; i < size; i++) { /* as servers and libraries see it */
        int high = copy[i] == '%' && i + 2 < size ? hex(copy[i + 1]) : -1;
        int low = high >= 0 ? hex(copy[i + 2]) : -1;
        copy[used++] = low >= 0 ? (char)(high << 4 | low) : copy[i];
        i += low >= 0 ? 2 : 0;
    }
    copy[used] = '\0';
    sluice_log_secret_add(copy);
    sluice_free_secret(copy, size);
}
