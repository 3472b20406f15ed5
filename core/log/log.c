/* The process's log. Never allocates for a line: it must work when memory is gone. */
#include "log/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "log/log_internal.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Read before the lock is taken. */
static int32_t log_level = SLUICE_LOG_INFO;

/* Under the mutex. */
static int32_t log_format;
static int log_color;
static void (*redirect)(void *ctx, const char *line, uint64_t size);
static void *redirect_ctx;
static char message_buffer[LOG_MESSAGE_MAX];
static char line_buffer[LOG_MESSAGE_MAX * 6 + 512]; /* every byte may become \u00xx */

void sluice_log_lock(void)
{
    (void)pthread_mutex_lock(&mutex);
}

void sluice_log_unlock(void)
{
    (void)pthread_mutex_unlock(&mutex);
}

void sluice_log_setup(int32_t level, int32_t format, int use_color)
{
    static int exit_registered;
    sluice_log_lock();
    sluice_atomic_store_i32(&log_level, level);
    log_format = format;
    log_color = use_color;
    if (!exit_registered) {
        exit_registered = atexit(sluice_log_flush) == 0;
    }
    sluice_log_unlock();
}

int32_t sluice_log_level(void)
{
    return sluice_atomic_load_i32(&log_level);
}

int sluice_log_enabled(int32_t level)
{
    return level <= sluice_log_level();
}

void sluice_log_redirect(void (*write)(void *ctx, const char *line, uint64_t size), void *ctx)
{
    sluice_log_lock();
    redirect = write;
    redirect_ctx = ctx;
    sluice_log_unlock();
}

/* The whole line in one write where the kernel takes it; a full pipe is waited for, a closed one
 * drops the line. */
static void stderr_write(const char *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, data, size);
        if (written > 0) {
            data += written;
            size -= (size_t)written;
        }
        else if (written < 0 && errno == EAGAIN) {
            struct pollfd pfd = {STDERR_FILENO, POLLOUT, 0};
            if (poll(&pfd, 1, 1000) <= 0) {
                return;
            }
        }
        else if (written == 0 || errno != EINTR) {
            return;
        }
    }
}

static void line_emit(int32_t level, const char *scope, const char *message, size_t size,
                      uint64_t held)
{
    struct log_line line = {line_buffer, 0, sizeof line_buffer};
    sluice_line_build(&line, log_format, log_color, sluice_now_us(SLUICE_CLOCK_WALL), level, scope,
                      message, size, held);
    if (redirect != NULL) {
        redirect(redirect_ctx, line.data, line.size);
        return;
    }
    line.data[line.size] = '\n';
    stderr_write(line.data, line.size + 1);
}

static void due_emit(int64_t now_us, int force)
{
    struct log_repeat due;
    while (sluice_repeat_due(now_us, force, &due)) {
        line_emit(due.level, due.scope, due.message, strlen(due.message), due.count);
    }
}

void sluice_log_flush(void)
{
    sluice_log_lock();
    due_emit(0, 1);
    sluice_log_unlock();
}

/* Cuts at a whole character and shows that it was cut. */
static size_t message_cut(char *text, size_t size)
{
    size_t at = size > 3 ? size - 3 : 0;
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(text + at, "\xe2\x80\xa6", 4);
    return at + 3;
}

void sluice_log_write(int32_t level, const char *scope, const char *message, uint64_t size)
{
    if (!sluice_log_enabled(level)) {
        return;
    }
    int kept = errno;
    int cut = 0;
    int64_t now_us = sluice_now_us(SLUICE_CLOCK_MONOTONIC);
    char scope_text[LOG_SCOPE_MAX];
    sluice_log_lock();
    const char *given = scope != NULL ? scope : "-";
    (void)sluice_redact_copy(given, strlen(given), scope_text, sizeof scope_text, &cut);
    size_t used =
        sluice_redact_copy(message, (size_t)size, message_buffer, sizeof message_buffer, &cut);
    if (cut) {
        used = message_cut(message_buffer, used);
    }
    due_emit(now_us, 0);
    uint64_t held = 0;
    if (sluice_repeat_pass(level, scope_text, message_buffer, used, now_us, &held)) {
        line_emit(level, scope_text, message_buffer, used, held);
    }
    sluice_log_unlock();
    errno = kept;
}

void sluice_log_line(int32_t level, const char *scope, const char *format, ...)
{
    char text[2048];
    if (!sluice_log_enabled(level)) {
        return;
    }
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0) {
        return;
    }
    if ((size_t)size < sizeof text) {
        sluice_log_write(level, scope, text, (uint64_t)size);
        return;
    }
    /* Cutting before redaction could leave the first half of a secret: format it whole. */
    char *whole = sluice_alloc((size_t)size + 1);
    if (whole == NULL) {
        sluice_log_write(level, scope, format, strlen(format));
        return;
    }
    va_start(args, format);
    (void)vsnprintf(whole, (size_t)size + 1, format, args);
    va_end(args);
    sluice_log_write(level, scope, whole, (uint64_t)size);
    sluice_free(whole);
}
