/* Filling struct sluice_error. */
#include "sluice/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static const char *const status_names[] = {
    "OK",          "CANCELLED", "NOMEM",         "INVALID", "STATE",      "UNSUPPORTED",
    "NOT_FOUND",   "IO",        "TIMEOUT",       "AUTH",    "PERMISSION", "DATA",
    "SCHEMA",      "CONFLICT",  "POSITION_LOST", "LIMIT",   "INTERNAL",   "SNAPSHOT_LOST",
    "UNAVAILABLE",
};

const char *sluice_status_name(sluice_status status)
{
    if (status == SLUICE_END) {
        return "END";
    }
    if (status == SLUICE_AGAIN) {
        return "AGAIN";
    }
    if (status > 0 || status < SLUICE_E_UNAVAILABLE) {
        return "INTERNAL";
    }
    return status_names[-status];
}

uint64_t sluice_utf8_cut(const char *text, uint64_t size, uint64_t max)
{
    uint64_t n = size < max ? size : max;
    if (n == size) {
        return n;
    }
    /* text[n] exists: step back while it continues a character that began before n. */
    for (int i = 0; i < 3 && n > 0 && ((uint8_t)text[n] & 0xc0u) == 0x80u; i++) {
        n--;
    }
    return n;
}

void sluice_error_clear(struct sluice_error *err)
{
    if (err == NULL) {
        return;
    }
    memset(err, 0, sizeof *err);
    err->struct_size = (uint32_t)sizeof *err;
    err->row = -1;
}

/* Formats into text[cap]; returns the length, cut at a whole character. */
SLUICE_PRINTF(3, 0)
static uint64_t format_text(char *text, uint64_t cap, const char *format, va_list args)
{
    int n = vsnprintf(text, cap, format, args);
    if (n < 0) {
        n = snprintf(text, cap, "message could not be formatted");
    }
    uint64_t size = (uint64_t)n;
    if (size >= cap) {
        size = cap - 1;
        /* The byte that would follow was lost, so look for a character without its end. */
        uint64_t start = size;
        for (int i = 0; i < 4 && start > 0; i++) {
            start--;
            uint8_t c = (uint8_t)text[start];
            if ((c & 0xc0u) != 0x80u) {
                uint64_t want = c < 0x80u ? 1u : c >= 0xf0u ? 4u : c >= 0xe0u ? 3u : 2u;
                size = start + want > size ? start : size;
                break;
            }
        }
        text[size] = '\0';
    }
    return size;
}

/* `text` may come from err->message itself, so it was formatted aside first. */
static void error_store(struct sluice_error *err, sluice_status status, uint32_t flags,
                        int32_t native, const char *text, uint64_t size)
{
    sluice_error_clear(err);
    err->status = status;
    err->flags = flags;
    err->native_code = native;
    memcpy(err->message, text, size);
    err->message[size] = '\0';
}

sluice_status sluice_error_set(struct sluice_error *err, sluice_status status, uint32_t flags,
                               const char *format, ...)
{
    if (err == NULL) {
        return status;
    }
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    uint64_t size = format_text(text, sizeof text, format, args);
    va_end(args);
    error_store(err, status, flags, 0, text, size);
    return status;
}

sluice_status sluice_error_wrap(struct sluice_error *err, const char *format, ...)
{
    if (err == NULL) {
        return SLUICE_E_INTERNAL;
    }
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    uint64_t used = format_text(text, sizeof text, format, args);
    va_end(args);
    uint64_t old = strnlen(err->message, sizeof err->message - 1);
    if (used + 2 < sizeof text) {
        text[used++] = ':';
        text[used++] = ' ';
        uint64_t room = sizeof text - 1 - used;
        uint64_t take = sluice_utf8_cut(err->message, old, room);
        memcpy(text + used, err->message, take);
        used += take;
    }
    memcpy(err->message, text, used);
    err->message[used] = '\0';
    return err->status < 0 ? err->status : SLUICE_E_INTERNAL;
}

struct errno_map {
    int errnum;
    sluice_status status;
    uint32_t flags;
};

static const struct errno_map errno_maps[] = {
    {ENOMEM, SLUICE_E_NOMEM, 0},
    {ENOENT, SLUICE_E_NOT_FOUND, 0},
    {ENOTDIR, SLUICE_E_NOT_FOUND, 0},
    {EACCES, SLUICE_E_PERMISSION, 0},
    {EPERM, SLUICE_E_PERMISSION, 0},
    {EROFS, SLUICE_E_PERMISSION, 0},
    {EINVAL, SLUICE_E_INVALID, 0},
    {ENAMETOOLONG, SLUICE_E_INVALID, 0},
    {EEXIST, SLUICE_E_CONFLICT, 0},
    {ENOSPC, SLUICE_E_LIMIT, 0},
    {EDQUOT, SLUICE_E_LIMIT, 0},
    {EFBIG, SLUICE_E_LIMIT, 0},
    {EMFILE, SLUICE_E_LIMIT, SLUICE_ERROR_RETRYABLE},
    {ENFILE, SLUICE_E_LIMIT, SLUICE_ERROR_RETRYABLE},
    {ENOSYS, SLUICE_E_UNSUPPORTED, 0},
    {EOPNOTSUPP, SLUICE_E_UNSUPPORTED, 0},
    {ECANCELED, SLUICE_E_CANCELLED, 0},
    {ETIMEDOUT, SLUICE_E_TIMEOUT, SLUICE_ERROR_RETRYABLE},
    {ECONNREFUSED, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
    {EHOSTUNREACH, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
    {ENETUNREACH, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
    {EHOSTDOWN, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
    {ENETDOWN, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE},
    {ECONNRESET, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
    {ECONNABORTED, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
    {EPIPE, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
    {ENOTCONN, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
    {EINTR, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
    {EAGAIN, SLUICE_E_IO, SLUICE_ERROR_RETRYABLE},
};

sluice_status sluice_error_errno(struct sluice_error *err, int errnum, const char *format, ...)
{
    sluice_status status = SLUICE_E_IO;
    uint32_t flags = 0;
    for (uint64_t i = 0; i < sizeof errno_maps / sizeof errno_maps[0]; i++) {
        if (errno_maps[i].errnum == errnum) {
            status = errno_maps[i].status;
            flags = errno_maps[i].flags;
            break;
        }
    }
    if (err == NULL) {
        return status;
    }
    char text[sizeof err->message];
    va_list args;
    va_start(args, format);
    uint64_t used = format_text(text, sizeof text, format, args);
    va_end(args);
    char buf[128];
    const char *native = strerror_r(errnum, buf, sizeof buf);
    int n = snprintf(text + used, sizeof text - used, ": %s", native);
    if (n > 0) {
        used += (uint64_t)n < sizeof text - used ? (uint64_t)n : sizeof text - used - 1;
    }
    error_store(err, status, flags, errnum, text, used);
    return status;
}
