/*
 * The limit that scripts/bench B4 and B5 compare with: reads a slot of pgoutput from the bare socket,
 * counts, and keeps nothing.
 *
 *     walreader SLOT PUBLICATION END [plain|lowat|gather]
 *                                                drain up to END (X/Y), then exit
 *     walreader SLOT PUBLICATION SECONDS latency read as it comes; time from commit to arrival
 *
 * How it waits: `plain` takes what comes, `lowat` wakes at 64 KiB, `gather` (the fastest) rests between
 * two reads for as long as it takes to find 512 KiB to 1 MiB, at most 40 ms.
 *
 * libpq only connects (PG* variables): the answer to START_REPLICATION is read here, so that nothing
 * stands between the kernel and the walk over the messages. Prints one line of JSON. One thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <libpq-fe.h>

#define BUFFER_SIZE ((size_t)4 << 20)
#define LOWAT 65536
#define GATHER_LITTLE ((size_t)512 << 10)
#define GATHER_MUCH ((size_t)1 << 20)
#define REST_MIN_US 1250
#define REST_MAX_US 40000
#define STATUS_INTERVAL_US 1000000
#define LATENCY_MAX 4000000
#define EPOCH_2000_US INT64_C(946684800000000)

enum { PLAIN, LOW_WATER, GATHER };

struct reader {
    int fd;
    int how;
    int rest_us;
    uint8_t *buffer;
    size_t begin;
    size_t end;
    uint64_t stop; /* 0 = by time */
    int64_t stop_us;
    int latency;
    uint64_t seen; /* end of what was read */
    int done;
    uint64_t changes[3]; /* I U D */
    uint64_t commits;
    uint64_t bytes;
    uint64_t reads;
    int32_t *waited; /* us, one a commit */
    size_t waited_count;
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "walreader: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t be64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | p[i];
    }
    return v;
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put64(uint8_t *p, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        p[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

/* A standby status update as a CopyData message: all that was seen is flushed. */
static void status_send(struct reader *rd)
{
    uint8_t m[5 + 34] = {'d', 0, 0, 0, 4 + 34, 'r'};
    put64(m + 6, rd->seen);
    put64(m + 14, rd->seen);
    put64(m + 22, rd->seen);
    put64(m + 30, (uint64_t)(now_us(CLOCK_REALTIME) - EPOCH_2000_US));
    if (send(rd->fd, m, sizeof m, MSG_NOSIGNAL) != (ssize_t)sizeof m) {
        die("status update", "not sent");
    }
}

static void commit_seen(struct reader *rd, const uint8_t *m)
{
    /* 'C' flags lsn end time */
    rd->seen = be64(m + 10);
    rd->commits++;
    rd->done = rd->stop != 0 && rd->seen >= rd->stop;
    if (rd->latency && rd->waited_count < LATENCY_MAX) {
        int64_t committed = (int64_t)be64(m + 18) + EPOCH_2000_US;
        rd->waited[rd->waited_count++] = (int32_t)(now_us(CLOCK_REALTIME) - committed);
    }
}

static void data_seen(struct reader *rd, const uint8_t *m, size_t size)
{
    switch (size > 0 ? m[0] : 0) {
    case 'I':
        rd->changes[0]++;
        break;
    case 'U':
        rd->changes[1]++;
        break;
    case 'D':
        rd->changes[2]++;
        break;
    case 'C':
        if (size >= 26) {
            commit_seen(rd, m);
        }
        break;
    default:
        break;
    }
}

/* One message of the server: type, length, body. */
static void message_seen(struct reader *rd, uint8_t type, const uint8_t *m, size_t size)
{
    if (type == 'E') {
        die("the server says", (const char *)m + 1);
    }
    if (type != 'd' || size < 1) {
        return;
    }
    if (m[0] == 'w' && size > 25) {
        data_seen(rd, m + 25, size - 25);
    }
    else if (m[0] == 'k' && size >= 18) {
        uint64_t end = be64(m + 1);
        rd->seen = end > rd->seen ? end : rd->seen;
        rd->done = rd->stop != 0 && end >= rd->stop;
        if (m[17]) {
            status_send(rd);
        }
    }
}

static void walk(struct reader *rd)
{
    while (!rd->done && rd->end - rd->begin >= 5) {
        const uint8_t *m = rd->buffer + rd->begin;
        size_t size = be32(m + 1);
        if (size < 4 || size > BUFFER_SIZE - 5) {
            die("message", "a length that cannot be");
        }
        if (rd->end - rd->begin < size + 1) {
            break;
        }
        message_seen(rd, m[0], m + 5, size - 4);
        rd->begin += size + 1;
    }
    memmove(rd->buffer, rd->buffer + rd->begin, rd->end - rd->begin);
    rd->end -= rd->begin;
    rd->begin = 0;
}

static void lowat_set(struct reader *rd, int bytes)
{
    if (setsockopt(rd->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) != 0) {
        die("SO_RCVLOWAT", "refused");
    }
}

/* Waits as it was asked to. */
static void rest(struct reader *rd)
{
    struct pollfd p = {rd->fd, POLLIN, 0};
    if (rd->how == GATHER) {
        struct timespec t = {0, rd->rest_us * 1000L};
        (void)nanosleep(&t, NULL);
        return;
    }
    (void)poll(&p, 1, rd->how == LOW_WATER ? 5 : 100);
}

static void rest_adapt(struct reader *rd, size_t came)
{
    if (came > GATHER_MUCH && rd->rest_us > REST_MIN_US) {
        rd->rest_us /= 2;
    }
    else if (came < GATHER_LITTLE && rd->rest_us < REST_MAX_US) {
        rd->rest_us *= 2;
    }
}

static void read_all(struct reader *rd)
{
    int64_t told = 0;
    rd->rest_us = REST_MIN_US * 8;
    if (rd->how == LOW_WATER) {
        lowat_set(rd, LOWAT);
    }
    while (!rd->done) {
        rest(rd);
        ssize_t n = recv(rd->fd, rd->buffer + rd->end, BUFFER_SIZE - rd->end, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            die("recv", "the connection ended");
        }
        rest_adapt(rd, n > 0 ? (size_t)n : 0);
        if (n > 0) {
            rd->reads++;
            rd->bytes += (uint64_t)n;
            rd->end += (size_t)n;
            walk(rd);
        }
        int64_t now = now_us(CLOCK_MONOTONIC);
        if (now - told >= STATUS_INTERVAL_US) {
            status_send(rd);
            told = now;
        }
        rd->done = rd->done || (rd->stop == 0 && now >= rd->stop_us);
    }
    status_send(rd);
}

static int start(PGconn *conn, const char *slot, const char *publication)
{
    char sql[512];
    int n = snprintf(sql, sizeof sql,
                     "START_REPLICATION SLOT \"%s\" LOGICAL 0/0 (proto_version '1', "
                     "publication_names '\"%s\"')",
                     slot, publication);
    if (n < 0 || (size_t)n >= sizeof sql || PQsendQuery(conn, sql) != 1 || PQflush(conn) != 0) {
        die("START_REPLICATION", PQerrorMessage(conn));
    }
    return PQsocket(conn);
}

static int waited_compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static int32_t quantile(const struct reader *rd, double q)
{
    if (rd->waited_count == 0) {
        return -1;
    }
    size_t at = (size_t)(q * (double)(rd->waited_count - 1));
    return rd->waited[at];
}

static void print(const struct reader *rd)
{
    if (rd->latency) {
        qsort(rd->waited, rd->waited_count, sizeof *rd->waited, waited_compare);
    }
    printf("{\"inserts\": %" PRIu64 ", \"updates\": %" PRIu64 ", \"deletes\": %" PRIu64
           ", \"commits\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"reads\": %" PRIu64
           ", \"count\": %zu, \"p50_us\": %d, \"p95_us\": %d, \"p99_us\": %d, \"p999_us\": %d, "
           "\"max_us\": %d}\n",
           rd->changes[0], rd->changes[1], rd->changes[2], rd->commits, rd->bytes, rd->reads,
           rd->waited_count, (int)quantile(rd, 0.5), (int)quantile(rd, 0.95),
           (int)quantile(rd, 0.99), (int)quantile(rd, 0.999), (int)quantile(rd, 1.0));
}

static void options_read(struct reader *rd, char **argv, int argc)
{
    unsigned high = 0;
    unsigned low = 0;
    char *end = NULL;
    const char *how = argc == 5 ? argv[4] : "plain";
    rd->latency = strcmp(how, "latency") == 0;
    rd->how = strcmp(how, "gather") == 0 ? GATHER : strcmp(how, "lowat") == 0 ? LOW_WATER : PLAIN;
    if (rd->latency) {
        long seconds = strtol(argv[3], &end, 10);
        if (*end != '\0' || seconds < 1 || seconds > 3600) {
            die("SECONDS", argv[3]);
        }
        rd->stop_us = now_us(CLOCK_MONOTONIC) + seconds * 1000000;
        return;
    }
    high = (unsigned)strtoul(argv[3], &end, 16);
    if (*end != '/') {
        die("END", argv[3]);
    }
    low = (unsigned)strtoul(end + 1, &end, 16);
    if (*end != '\0') {
        die("END", argv[3]);
    }
    rd->stop = (uint64_t)high << 32 | low;
}

int main(int argc, char **argv)
{
    static const char *const keys[] = {"replication", "sslmode", "gssencmode", NULL};
    static const char *const values[] = {"database", "disable", "disable", NULL};
    struct reader rd;
    memset(&rd, 0, sizeof rd);
    if (argc < 4 || argc > 5) {
        die("usage", "walreader SLOT PUBLICATION END|SECONDS [plain|lowat|gather|latency]");
    }
    options_read(&rd, argv, argc);
    rd.buffer = malloc(BUFFER_SIZE);
    rd.waited = rd.latency ? malloc(LATENCY_MAX * sizeof *rd.waited) : NULL;
    if (rd.buffer == NULL || (rd.latency && rd.waited == NULL)) {
        die("memory", "none left");
    }
    PGconn *conn = PQconnectdbParams(keys, values, 0);
    if (PQstatus(conn) != CONNECTION_OK) {
        die("connect", PQerrorMessage(conn));
    }
    rd.fd = start(conn, argv[1], argv[2]);
    read_all(&rd);
    print(&rd);
    PQfinish(conn);
    free(rd.buffer);
    free(rd.waited);
    return 0;
}
