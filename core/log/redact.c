/* Secrets: kept longest first, replaced wherever they stand, wiped when forgotten. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"
#include "log/log.h"
#include "log/log_internal.h"

#define SECRET_MIN 4 /* shorter ones would hide half of every line */

struct secret {
    char *text;
    size_t size;
};

static struct secret *secrets;
static size_t secret_count;
static size_t secret_cap;
static unsigned char first_bytes[256]; /* 1 = some secret begins with it */

static int secret_known(const char *text, size_t size)
{
    for (size_t i = 0; i < secret_count; i++) {
        if (secrets[i].size == size && memcmp(secrets[i].text, text, size) == 0) {
            return 1;
        }
    }
    return 0;
}

static void secret_insert(const char *text, size_t size)
{
    if (size < SECRET_MIN || secret_known(text, size) ||
        !sluice_alloc_grow((void **)&secrets, &secret_cap, secret_count + 1, sizeof *secrets)) {
        return;
    }
    char *copy = sluice_alloc_string_n(text, size);
    if (copy == NULL) {
        return;
    }
    size_t at = secret_count;
    while (at > 0 && secrets[at - 1].size < size) {
        secrets[at] = secrets[at - 1];
        at--;
    }
    secrets[at] = (struct secret){copy, size};
    secret_count++;
    first_bytes[(unsigned char)text[0]] = 1;
}

/* The forms in which servers and libraries give a secret back: percent-encoded in URLs, escaped in
 * JSON. */
static void percent_encode(struct sluice_str *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        int plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || strchr("-._~", *p) != NULL;
        if (plain) {
            sluice_str_append_char(out, (char)*p);
        }
        else {
            sluice_str_printf(out, "%%%02X", *p);
        }
    }
}

static void json_escape(struct sluice_str *out, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        if (*p == '"' || *p == '\\') {
            sluice_str_append_char(out, '\\');
            sluice_str_append_char(out, (char)*p);
        }
        else if (*p == '\n' || *p == '\t' || *p == '\r') {
            sluice_str_append(out, *p == '\n' ? "\\n" : *p == '\t' ? "\\t" : "\\r");
        }
        else {
            sluice_str_append_char(out, (char)*p);
        }
    }
}

void sluice_log_secret_add(const char *secret)
{
    static void (*const forms[])(struct sluice_str *, const char *) = {percent_encode, json_escape};
    size_t size = secret != NULL ? strlen(secret) : 0;
    if (size < SECRET_MIN) {
        return;
    }
    sluice_log_lock();
    secret_insert(secret, size);
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct sluice_str form = SLUICE_STR_INIT;
        forms[i](&form, secret);
        if (!form.failed) {
            secret_insert(form.data, form.size);
        }
        sluice_free_secret(form.data, form.cap);
    }
    sluice_log_unlock();
}

void sluice_log_secrets_of_environment(void)
{
    static const char *const endings[] = {"PASSWORD", "PASSWD",     "PASSPHRASE",       "SECRET",
                                          "TOKEN",    "SECRET_KEY", "SECRET_ACCESS_KEY"};
    for (char **one = environ; one != NULL && *one != NULL; one++) {
        const char *equals = strchr(*one, '=');
        size_t name = equals != NULL ? (size_t)(equals - *one) : 0;
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
            size_t size = strlen(endings[i]);
            if (name >= size && strncasecmp(equals - size, endings[i], size) == 0) {
                sluice_log_secret_add(equals + 1);
                break;
            }
        }
    }
}

void sluice_log_secrets_clear(void)
{
    sluice_log_lock();
    for (size_t i = 0; i < secret_count; i++) {
        sluice_free_secret(secrets[i].text, secrets[i].size);
    }
    sluice_free(secrets);
    secrets = NULL;
    secret_count = 0;
    secret_cap = 0;
    memset(first_bytes, 0, sizeof first_bytes);
    sluice_log_unlock();
}

/* Size of the longest secret that begins at text[0], 0 = none. */
static size_t secret_at(const char *text, size_t left)
{
    if (!first_bytes[(unsigned char)text[0]]) {
        return 0;
    }
    for (size_t i = 0; i < secret_count; i++) {
        if (secrets[i].size <= left && memcmp(secrets[i].text, text, secrets[i].size) == 0) {
            return secrets[i].size;
        }
    }
    return 0;
}

/* Size of the run of overlapping secrets that begins at text[0]: a rest would tell something. */
static size_t secret_run(const char *text, size_t left)
{
    size_t end = secret_at(text, left);
    for (size_t i = 1; i < end; i++) {
        size_t size = secret_at(text + i, left - i);
        end = i + size > end ? i + size : end;
    }
    return end;
}

size_t sluice_redact_copy(const char *text, size_t size, char *out, size_t cap, int *cut)
{
    size_t at = 0;
    size_t written = 0;
    while (at < size) {
        size_t run = secret_run(text + at, size - at);
        size_t need = run > 0 ? 3 : 1;
        if (written + need + 1 > cap) {
            break;
        }
        if (run > 0) {
            memcpy(out + written, "***", 3);
            at += run;
        }
        else {
            out[written] = text[at++];
        }
        written += need;
    }
    out[written] = '\0';
    *cut = at < size;
    return written;
}

void sluice_log_redact(char *text)
{
    if (text == NULL) {
        return;
    }
    int cut = 0;
    size_t size = strlen(text);
    sluice_log_lock();
    /* In place: what is written never passes what was read, a secret has more bytes than "***". */
    size_t written = sluice_redact_copy(text, size, text, size + 1, &cut);
    memset(text + written, 0, size - written);
    sluice_log_unlock();
}
