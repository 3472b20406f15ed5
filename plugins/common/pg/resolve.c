#include "pg/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Shared by the one who waits and the thread that looks up; the last one out frees it. */
struct lookup {
    atomic_int users;
    int done_fd;     /* an eventfd, readable once done */
    atomic_int done; /* what stands below is whole */
    int found;       /* names that have an address */
    int code;        /* of the last one that has none */
    char *failed;
    char *hosts;
};

static void lookup_leave(struct lookup *l)
{
    if (atomic_fetch_sub(&l->users, 1) == 1) {
        (void)close(l->done_fd);
        free(l->hosts);
        free(l->failed);
        free(l);
    }
}

/* Takes the next name of a list, ending it in place. NULL = no more. */
static char *next_host(char **list)
{
    char *name = *list;
    if (name == NULL) {
        return NULL;
    }
    char *comma = strchr(name, ',');
    *list = comma != NULL ? comma + 1 : NULL;
    if (comma != NULL) {
        *comma = '\0';
    }
    return name;
}

static int needs_lookup(const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    return name[0] != '\0' && name[0] != '/' && name[0] != '@' &&
           strcasecmp(name, "localhost") != 0 && inet_pton(AF_INET, name, address) != 1 &&
           inet_pton(AF_INET6, name, address) != 1;
}

static void *lookup_main(void *arg)
{
    struct lookup *l = arg;
    char *list = l->hosts;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    for (char *name = next_host(&list); name != NULL; name = next_host(&list)) {
        struct addrinfo *found = NULL;
        int code = needs_lookup(name) ? getaddrinfo(name, NULL, &hints, &found) : 0;
        if (code == 0) {
            l->found++;
        }
        else {
            l->code = code;
            free(l->failed);
            l->failed = strdup(name);
        }
        if (found != NULL) {
            freeaddrinfo(found);
        }
    }
    atomic_store(&l->done, 1); /* what was found is read only after this is seen */
    const uint64_t one = 1;
    ssize_t written = write(l->done_fd, &one, sizeof one);
    (void)written; /* an eventfd takes it */
    lookup_leave(l);
    return NULL;
}

/* 1 if any name of the list has to be asked for. */
static int any_lookup(const char *hosts)
{
    char *copy = strdup(hosts);
    char *list = copy;
    int any = 0;
    for (char *name = next_host(&list); name != NULL; name = next_host(&list)) {
        any |= needs_lookup(name);
    }
    free(copy);
    return any;
}

/* NULL = it could not be begun. */
static struct lookup *lookup_start(const char *hosts)
{
    pthread_attr_t attr;
    pthread_t thread;
    struct lookup *l = calloc(1, sizeof *l);
    if (l == NULL) {
        return NULL;
    }
    l->hosts = strdup(hosts);
    l->done_fd = eventfd(0, EFD_CLOEXEC);
    atomic_store(&l->users, 1);
    int rc = l->hosts == NULL || l->done_fd < 0 ? ENOMEM : pthread_attr_init(&attr);
    if (rc == 0) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        atomic_store(&l->users, 2);
        rc = pthread_create(&thread, &attr, lookup_main, l);
        (void)pthread_attr_destroy(&attr);
        if (rc != 0) {
            atomic_store(&l->users, 1);
        }
    }
    if (rc != 0) {
        lookup_leave(l);
        return NULL;
    }
    return l;
}

static sluice_status lookup_wait(struct lookup *l, const struct sluice_host *host,
                                 int64_t timeout_us, const char *what, struct sluice_error *err)
{
    int64_t deadline = host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + timeout_us;
    for (;;) {
        struct pollfd fds[2] = {{l->done_fd, POLLIN, 0}, {host->cancel_fd(host->ctx), POLLIN, 0}};
        int64_t left = deadline - host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC);
        left = left > 0 ? left : 0;
        struct timespec ts = {(time_t)(left / 1000000), (long)(left % 1000000) * 1000};
        int rc = ppoll(fds, fds[1].fd >= 0 ? 2 : 1, &ts, NULL);
        if (rc < 0 && errno != EINTR) {
            return sluice_error_errno(err, errno, "%s: poll", what);
        }
        if (fds[1].revents != 0 || host->cancelled(host->ctx)) {
            return sluice_error_set(err, SLUICE_E_CANCELLED, 0, "%s: cancelled", what);
        }
        if (atomic_load(&l->done)) {
            break;
        }
        if (left == 0) {
            return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                    "%s: the name service does not answer (hint: check option host "
                                    "and /etc/resolv.conf)",
                                    what);
        }
    }
    if (l->found == 0) {
        return sluice_error_set(err, SLUICE_E_UNAVAILABLE, SLUICE_ERROR_RETRYABLE,
                                "%s: could not translate host name \"%s\" to address: %s (hint: "
                                "check option host)",
                                what, l->failed != NULL ? l->failed : "", gai_strerror(l->code));
    }
    return SLUICE_OK;
}

sluice_status sluice_pg_resolve(const struct sluice_host *host, const char *hosts,
                                int64_t timeout_us, const char *what, struct sluice_error *err)
{
    if (hosts == NULL || !any_lookup(hosts)) {
        return SLUICE_OK;
    }
    struct lookup *l = lookup_start(hosts);
    if (l == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "%s: no memory to look the host up", what);
    }
    sluice_status st = lookup_wait(l, host, timeout_us, what, err);
    lookup_leave(l);
    return st;
}
