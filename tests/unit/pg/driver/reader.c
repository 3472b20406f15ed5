/*
 * pg_reader: drains tables through the PostgreSQL source without the engine: for measuring and for
 * the integration tests.
 *
 *     pg_reader [--threads N] [--mode discover|check|load|print] [--limit N] [--where SQL]
 *               [--include COLUMN] [--exclude COLUMN] [--pause] key=value … table …
 *
 * SIGTERM cancels. Errors go to standard error, one a line: object: STATUS (retryable): message.
 * load: reads all shards of the tables on N threads, prints rows, bytes and CPU seconds.
 * print: writes every value as JSON-like lines, one array a row, without any formatting of its own
 * beyond what tells types apart. Tables are stream names; "*" = all that discover finds.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "host.h"
#include "print.h"
#include "sluice/array.h"
#include "sluice/error.h"

extern const struct sluice_plugin *sluice_plugin_postgres_entry_v0(void);

enum { MAX_STREAMS = 20000 };

static const struct sluice_source_api *api;
static struct sluice_source *src;
static struct pg_test_host host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const struct sluice_shard_desc *shards[MAX_STREAMS];
static uint32_t shard_count;
static uint32_t shard_next;
static uint64_t total_rows;
static uint64_t total_batches;
static _Atomic uint64_t first_us;
static atomic_int failed;
static int print_rows;
static const struct sluice_stream_desc *descs[MAX_STREAMS];
static uint32_t desc_count;
static const char *names[MAX_STREAMS];
static uint32_t name_count;

static double seconds(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void complain(const char *what, const struct sluice_error *err)
{
    (void)fprintf(stderr, "%s: %s%s: %s\n", what, sluice_status_name(err->status),
                  (err->flags & SLUICE_ERROR_RETRYABLE) != 0 ? " (retryable)" : "", err->message);
}

static const struct sluice_stream_desc *find_desc(uint64_t id)
{
    for (uint32_t i = 0; i < desc_count; i++) {
        if (descs[i]->stream_id == id) {
            return descs[i];
        }
    }
    return NULL;
}

static void read_shard(const struct sluice_shard_desc *shard)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_reader *rd = NULL;
    struct sluice_bytes none = {NULL, 0};
    uint64_t rows = 0;
    uint64_t batches = 0;
    sluice_status st = api->reader_open(src, shard, none, &rd, &err);
    while (st >= 0 && st != SLUICE_END) {
        struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
        st = api->reader_next(rd, 1000000, &batch, &err);
        if (st == SLUICE_OK) {
            rows += batch.rows;
            batches++;
            if (first_us == 0) {
                first_us = (uint64_t)(seconds(CLOCK_MONOTONIC) * 1e6);
            }
            if (print_rows) {
                (void)pthread_mutex_lock(&lock);
                pg_test_print_batch(stdout, find_desc(batch.stream_id), &batch);
                (void)pthread_mutex_unlock(&lock);
            }
            sluice_array_release(&batch.array);
        }
    }
    if (st < 0) {
        complain(shard->id, &err);
        failed = 1;
    }
    api->reader_close(rd);
    (void)pthread_mutex_lock(&lock);
    total_rows += rows;
    total_batches += batches;
    (void)pthread_mutex_unlock(&lock);
}

static void *worker(void *arg)
{
    (void)arg;
    for (;;) {
        (void)pthread_mutex_lock(&lock);
        const struct sluice_shard_desc *shard =
            shard_next < shard_count ? shards[shard_next++] : NULL;
        (void)pthread_mutex_unlock(&lock);
        if (shard == NULL) {
            return NULL;
        }
        read_shard(shard);
    }
}

static sluice_status see_discovered(void *vctx, const struct sluice_stream_desc *desc,
                                    const struct sluice_error *problem)
{
    if (vctx != NULL) {
        pg_test_print_desc(stdout, desc, problem);
    }
    else if (problem == NULL && name_count < MAX_STREAMS) {
        names[name_count] = strdup(desc->name);
        name_count += names[name_count] != NULL;
    }
    return SLUICE_OK;
}

static sluice_status see_opened(void *vctx, const struct sluice_stream_desc *desc,
                                const struct sluice_error *problem)
{
    (void)vctx;
    if (problem != NULL) {
        complain(desc->name, problem);
        failed = 1;
        return SLUICE_OK;
    }
    descs[desc_count++] = desc;
    return SLUICE_OK;
}

static sluice_status see_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    (void)vctx;
    if (shard_count == MAX_STREAMS) {
        return SLUICE_E_LIMIT;
    }
    shards[shard_count++] = shard;
    return SLUICE_OK;
}

static sluice_status see_finding(void *vctx, const struct sluice_finding *f)
{
    (void)vctx;
    static const char *const words[] = {"ok", "info", "warn", "error"};
    (void)printf("%s\t%s\t%s\t%s\t%s\n", words[f->severity], f->subject,
                 f->key != NULL ? f->key : "", f->what, f->remedy != NULL ? f->remedy : "");
    return SLUICE_OK;
}

struct arguments {
    const char *mode;
    int threads;
    uint64_t limit;
    const char *where;
    const char *given[64];
    uint32_t given_count;
    const char *include[16];
    uint32_t include_count;
    const char *exclude[16];
    uint32_t exclude_count;
    int pause; /* wait for a line on standard input between open and the first read */
};

static void parse(int argc, char **argv, struct arguments *a)
{
    memset(a, 0, sizeof *a);
    a->mode = "load";
    a->threads = 2;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            a->threads = (int)strtol(argv[++i], NULL, 10);
        }
        else if (strcmp(argv[i], "--mode") == 0 && i + 1 < argc) {
            a->mode = argv[++i];
        }
        else if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc) {
            a->limit = strtoull(argv[++i], NULL, 10);
        }
        else if (strcmp(argv[i], "--where") == 0 && i + 1 < argc) {
            a->where = argv[++i];
        }
        else if (strcmp(argv[i], "--include") == 0 && i + 1 < argc && a->include_count < 16) {
            a->include[a->include_count++] = argv[++i];
        }
        else if (strcmp(argv[i], "--exclude") == 0 && i + 1 < argc && a->exclude_count < 16) {
            a->exclude[a->exclude_count++] = argv[++i];
        }
        else if (strcmp(argv[i], "--pause") == 0) {
            a->pause = 1;
        }
        else if (strchr(argv[i], '=') != NULL && a->given_count < 63) {
            a->given[a->given_count++] = argv[i];
        }
        else if (name_count < MAX_STREAMS) {
            names[name_count++] = argv[i];
        }
    }
}

static void load(const struct arguments *a, double began)
{
    pthread_t threads[64];
    int n = a->threads < 64 ? a->threads : 64;
    double start = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, worker, NULL) != 0) {
            n = i;
        }
    }
    for (int i = 0; i < n; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    double wall = seconds(CLOCK_MONOTONIC) - start;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    if (!print_rows) {
        (void)printf("shards %u rows %llu batches %llu wall %.3f s, first row after %.1f ms, %.0f "
                     "rows/s, cpu %.3f s (sys %.3f) = %.3f s per M rows, rss %ld MB\n",
                     shard_count, (unsigned long long)total_rows, (unsigned long long)total_batches,
                     wall, (double)first_us / 1e3 - began * 1e3, (double)total_rows / wall, cpu,
                     (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
                     total_rows > 0 ? cpu * 1e6 / (double)total_rows : 0.0, usage.ru_maxrss / 1024);
    }
}

static sluice_status open_source(const struct arguments *a, struct sluice_error *err)
{
    static struct sluice_stream_select selects[MAX_STREAMS];
    static const struct sluice_stream_select *pointers[MAX_STREAMS];
    struct sluice_source_plan plan = {.struct_size = (uint32_t)sizeof plan,
                                      .mode = SLUICE_MODE_FULL_LOAD_ONLY,
                                      .parallelism = (uint32_t)a->threads,
                                      .pipeline = "test",
                                      .node = "pg",
                                      .row_limit = a->limit,
                                      .stream_count = name_count,
                                      .streams = pointers};
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    for (uint32_t i = 0; i < name_count; i++) {
        selects[i] = (struct sluice_stream_select){.struct_size = (uint32_t)sizeof selects[i],
                                                   .flags = SLUICE_SELECT_LOAD,
                                                   .name = names[i],
                                                   .include_count = a->include_count,
                                                   .exclude_count = a->exclude_count,
                                                   .include_columns = a->include,
                                                   .exclude_columns = a->exclude,
                                                   .where = a->where};
        pointers[i] = &selects[i];
    }
    if (strcmp(a->mode, "check") == 0) {
        return api->check(src, &plan, see_finding, NULL, err);
    }
    sluice_status st = api->open(src, &plan, &info, see_opened, NULL, err);
    if (st >= 0) {
        (void)fprintf(stderr, "server %s identity %s\n", info.server,
                      info.identity != NULL ? info.identity : "-");
        st = api->shards(src, see_shard, NULL, err);
    }
    return st;
}

static void *wait_for_signal(void *arg)
{
    sigset_t *set = arg;
    int number = 0;
    if (sigwait(set, &number) == 0) {
        pg_test_host_cancel(&host);
        api->cancel(src);
    }
    return NULL;
}

static void cancel_on_signal(void)
{
    static sigset_t set;
    pthread_t thread;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (pthread_create(&thread, NULL, wait_for_signal, &set) == 0) {
        (void)pthread_detach(thread);
    }
}

int main(int argc, char **argv)
{
    static struct arguments a;
    struct sluice_error err = SLUICE_ERROR_INIT;
    double began = seconds(CLOCK_MONOTONIC);
    parse(argc, argv, &a);
    const struct sluice_component *component = sluice_plugin_postgres_entry_v0()->components[0];
    api = component->source;
    print_rows = strcmp(a.mode, "print") == 0;
    if (!pg_test_host_init(&host, component->options, a.given)) {
        return 2;
    }
    sluice_status st = api->create(&host.table, &src, &err);
    if (st >= 0) {
        cancel_on_signal();
    }
    if (st >= 0 && strcmp(a.mode, "discover") == 0) {
        st = api->discover(src, see_discovered, stdout, &err);
    }
    else if (st >= 0) {
        if (name_count == 1 && strcmp(names[0], "*") == 0) {
            name_count = 0;
            st = api->discover(src, see_discovered, NULL, &err);
        }
        if (st >= 0) {
            st = open_source(&a, &err);
        }
        if (st >= 0 && shard_count > 0) {
            if (a.pause > 0) {
                (void)fprintf(stderr, "open\n");
                (void)getchar();
            }
            load(&a, began);
        }
    }
    if (st < 0) {
        complain(a.mode, &err);
    }
    api->destroy(src);
    pg_test_host_free(&host);
    return st < 0 || failed ? 1 : 0;
}
