/*
 * pg_feed: drains the PostgreSQL source's feed of changes without the engine: for measuring and for
 * the integration tests.
 *
 *     pg_feed [--mode cdc|both] [--print] [--once] [--until X] [--resume HEX] [--created TEXT]
 *             [--ack] [--retry] [--idle SECONDS] [--rows N] [--changes-only] [--include COLUMN]
 *             [--exclude COLUMN] key=value … table …
 *
 * both: the tables are loaded first, then their changes follow. --print: JSON lines, see changes.h,
 * and {"boundary": hex}, {"heartbeat": hex}; else counts, CPU and memory at the end. --rows: ends
 * after so many changes, at a boundary. --idle: calls reader_idle alone for so long first. --retry:
 * opens again after a retryable error. SIGTERM cancels. Errors go to standard error.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "changes.h"
#include "host.h"
#include "print.h"
#include "sluice/array.h"
#include "sluice/error.h"
#include "sluice/position.h"

extern const struct sluice_plugin *sluice_plugin_postgres_entry_v0(void);

enum { STREAMS_MAX = 20000, COLUMNS_MAX = 16, GIVEN_MAX = 64, WAITS_MAX = 1000000 };

struct arguments {
    const char *mode;
    const char *until;
    const char *resume;
    const char *created;
    int print;
    int once;
    int ack;
    int retry;
    double idle;
    uint64_t rows;
    const char *given[GIVEN_MAX];
    uint32_t given_count;
    const char *names[STREAMS_MAX];
    uint32_t name_count;
    const char *include[COLUMNS_MAX];
    uint32_t include_count;
    const char *exclude[COLUMNS_MAX];
    uint32_t exclude_count;
};

/* What was drained. */
struct totals {
    uint64_t rows;
    uint64_t batches;
    uint64_t boundaries;
    double first;
    double last;
};

static const struct sluice_source_api *api;
static struct sluice_source *src;
static struct pg_test_host host;
static struct arguments args;
static struct sluice_stream_desc *descs[STREAMS_MAX];
static uint32_t desc_count;
static const struct sluice_shard_desc *shards[STREAMS_MAX];
static uint32_t shard_count;
static struct totals totals;
static double waits[WAITS_MAX]; /* seconds from the commit to us, one a group */
static uint32_t wait_count;
static uint8_t reached[64]; /* the last boundary */
static uint64_t reached_size;
static int failed;

static double seconds(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void complain(const char *what, const struct sluice_error *err)
{
    (void)fprintf(stderr, "%s: %s%s%s: %s\n", what, sluice_status_name(err->status),
                  (err->flags & SLUICE_ERROR_RETRYABLE) != 0 ? " (retryable)" : "",
                  (err->flags & SLUICE_ERROR_FATAL) != 0 ? " (fatal)" : "", err->message);
}

static struct sluice_stream_desc **find_desc(uint64_t id)
{
    static uint32_t last;
    if (last < desc_count && descs[last]->stream_id == id) {
        return &descs[last];
    }
    for (last = 0; last < desc_count; last++) {
        if (descs[last]->stream_id == id) {
            return &descs[last];
        }
    }
    (void)fprintf(stderr, "a batch of an unknown stream\n");
    abort();
}

/* ---------------------------------------------------------------- loads ---------------------- */

static void read_load(const struct sluice_shard_desc *shard)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_reader *rd = NULL;
    struct sluice_bytes none = {NULL, 0};
    sluice_status st = api->reader_open(src, shard, none, &rd, &err);
    while (st >= 0 && st != SLUICE_END) {
        struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
        st = api->reader_next(rd, 1000000, &batch, &err);
        if (st == SLUICE_OK) {
            if (args.print) {
                pg_test_print_batch(stdout, *find_desc(batch.stream_id), &batch);
            }
            sluice_array_release(&batch.array);
        }
    }
    if (st < 0) {
        complain(shard->id, &err);
        failed = 1;
    }
    api->reader_close(rd);
}

/* ---------------------------------------------------------------- the feed ------------------- */

static void print_position(const char *what, struct sluice_bytes position)
{
    char hex[129];
    sluice_hex_encode(position.data, position.size, hex);
    (void)printf("{\"%s\": \"%s\"}\n", what, hex);
    (void)fflush(stdout);
}

static void see_version(const struct sluice_batch *batch)
{
    struct sluice_stream_desc **slot = find_desc(batch->stream_id);
    sluice_stream_desc_free(*slot);
    *slot = sluice_stream_desc_copy(batch->desc);
    if (*slot == NULL) {
        abort();
    }
    if (args.print) {
        pg_test_print_version(stdout, *slot);
    }
}

static void check_version(const struct sluice_batch *batch)
{
    const struct sluice_stream_desc *desc = *find_desc(batch->stream_id);
    if (desc->schema_id != batch->schema_id) {
        (void)fprintf(stderr, "a batch of %s with schema %llu where %llu was announced\n",
                      desc->name, (unsigned long long)batch->schema_id,
                      (unsigned long long)desc->schema_id);
        abort();
    }
}

static void see_batch(struct sluice_batch *batch)
{
    totals.batches++;
    switch (batch->kind) {
    case SLUICE_BATCH_CHANGES:
        check_version(batch);
        totals.rows += batch->rows;
        totals.last = seconds(CLOCK_MONOTONIC);
        totals.first = totals.first == 0 ? totals.last : totals.first;
        if ((batch->flags & SLUICE_BATCH_COMMIT_BOUNDARY) != 0 && wait_count < WAITS_MAX) {
            waits[wait_count++] = seconds(CLOCK_REALTIME) - (double)batch->source_time_us / 1e6;
        }
        if (args.print) {
            pg_test_print_changes(stdout, *find_desc(batch->stream_id), batch);
        }
        break;
    case SLUICE_BATCH_TRUNCATE:
        check_version(batch);
        if (args.print) {
            pg_test_print_truncate(stdout, *find_desc(batch->stream_id), batch);
        }
        break;
    case SLUICE_BATCH_SCHEMA:
        see_version(batch);
        break;
    case SLUICE_BATCH_HEARTBEAT:
        break;
    default:
        (void)fprintf(stderr, "a batch of kind %d\n", batch->kind);
        abort();
    }
    if ((batch->flags & SLUICE_BATCH_COMMIT_BOUNDARY) != 0) {
        if (batch->position.size > sizeof reached ||
            (reached_size == batch->position.size &&
             memcmp(reached, batch->position.data, reached_size) > 0)) {
            (void)fprintf(stderr, "a boundary that goes back\n");
            abort();
        }
        totals.boundaries++;
        reached_size = batch->position.size;
        memcpy(reached, batch->position.data, reached_size);
        if (args.print) {
            print_position(batch->kind == SLUICE_BATCH_HEARTBEAT ? "heartbeat" : "boundary",
                           batch->position);
        }
    }
    sluice_array_release(&batch->array);
}

static sluice_status stay_idle(struct sluice_reader *rd, struct sluice_error *err)
{
    double until = seconds(CLOCK_MONOTONIC) + args.idle;
    while (seconds(CLOCK_MONOTONIC) < until) {
        struct timespec ts = {0, 500000000};
        (void)nanosleep(&ts, NULL);
        SLUICE_TRY(api->reader_idle(rd, err));
    }
    return SLUICE_OK;
}

/* One life of a reader. END, or an error. */
static sluice_status read_feed(const struct sluice_shard_desc *shard, struct sluice_error *err)
{
    struct sluice_reader *rd = NULL;
    struct sluice_bytes resume = {reached, reached_size};
    sluice_status st = api->reader_open(src, shard, resume, &rd, err);
    if (st < 0) {
        return st;
    }
    if (args.print) {
        (void)printf("{\"open\": \"%s\"}\n", shard->id);
        (void)fflush(stdout);
    }
    if (args.idle > 0) {
        st = stay_idle(rd, err);
        args.idle = 0;
    }
    while (st >= 0 && st != SLUICE_END) {
        struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
        st = api->reader_next(rd, 1000000, &batch, err);
        if (st != SLUICE_OK) {
            continue;
        }
        int boundary = (batch.flags & SLUICE_BATCH_COMMIT_BOUNDARY) != 0;
        see_batch(&batch);
        if (boundary && args.ack) {
            struct sluice_bytes position = {reached, reached_size};
            st = api->reader_ack(rd, position, err);
        }
        if (boundary && args.rows > 0 && totals.rows >= args.rows) {
            st = SLUICE_END;
        }
    }
    api->reader_close(rd);
    return st;
}

static void follow(const struct sluice_shard_desc *shard)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = read_feed(shard, &err);
    while (st < 0 && args.retry && (err.flags & SLUICE_ERROR_RETRYABLE) != 0) {
        struct timespec ts = {0, 200000000};
        complain("again", &err);
        (void)nanosleep(&ts, NULL);
        st = read_feed(shard, &err);
    }
    if (st < 0) {
        complain(shard->id, &err);
        failed = st != SLUICE_E_CANCELLED;
    }
}

/* ---------------------------------------------------------------- opening -------------------- */

static sluice_status see_opened(void *vctx, const struct sluice_stream_desc *desc,
                                const struct sluice_error *problem)
{
    (void)vctx;
    if (problem != NULL) {
        complain(desc->name, problem);
        failed = 1;
        return SLUICE_OK;
    }
    descs[desc_count] = sluice_stream_desc_copy(desc);
    if (descs[desc_count] == NULL) {
        return SLUICE_E_NOMEM;
    }
    if (args.print) {
        pg_test_print_version(stdout, desc);
    }
    desc_count++;
    return SLUICE_OK;
}

static sluice_status see_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    (void)vctx;
    if (shard_count == STREAMS_MAX) {
        return SLUICE_E_LIMIT;
    }
    shards[shard_count++] = shard;
    return SLUICE_OK;
}

static sluice_status open_source(struct sluice_error *err)
{
    static struct sluice_stream_select selects[STREAMS_MAX];
    static const struct sluice_stream_select *pointers[STREAMS_MAX];
    static struct sluice_resume resume;
    static const struct sluice_resume *resumes[] = {&resume};
    int both = strcmp(args.mode, "both") == 0;
    struct sluice_source_plan plan = {.struct_size = (uint32_t)sizeof plan,
                                      .mode = both ? SLUICE_MODE_FULL_LOAD_AND_CDC
                                                   : SLUICE_MODE_CDC_ONLY,
                                      .flags = args.once ? SLUICE_PLAN_ONCE : 0,
                                      .parallelism = 1,
                                      .pipeline = "test",
                                      .node = "pg",
                                      .stream_count = args.name_count,
                                      .streams = pointers,
                                      .until = args.until,
                                      .created = args.created};
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    for (uint32_t i = 0; i < args.name_count; i++) {
        selects[i] = (struct sluice_stream_select){.struct_size = (uint32_t)sizeof selects[i],
                                                   .flags = (both ? SLUICE_SELECT_LOAD : 0u) |
                                                            SLUICE_SELECT_CHANGES,
                                                   .name = args.names[i],
                                                   .include_count = args.include_count,
                                                   .exclude_count = args.exclude_count,
                                                   .include_columns = args.include,
                                                   .exclude_columns = args.exclude};
        pointers[i] = &selects[i];
    }
    if (args.resume != NULL) {
        reached_size = strlen(args.resume) / 2;
        if (reached_size > sizeof reached) {
            return sluice_error_set(err, SLUICE_E_INVALID, 0, "a position that is too long");
        }
        SLUICE_TRY(sluice_hex_decode(args.resume, strlen(args.resume), reached, reached_size, err));
        resume = (struct sluice_resume){.struct_size = (uint32_t)sizeof resume,
                                        .shard_id = "pg/changes",
                                        .position = {reached, reached_size}};
        plan.resumes = resumes;
        plan.resume_count = 1;
    }
    SLUICE_TRY(api->open(src, &plan, &info, see_opened, NULL, err));
    (void)fprintf(stderr, "server %s identity %s created %s\n", info.server,
                  info.identity != NULL ? info.identity : "-",
                  info.created != NULL ? info.created : "-");
    return api->shards(src, see_shard, NULL, err);
}

/* ---------------------------------------------------------------- program -------------------- */

static const char *value_of(int argc, char **argv, int *i)
{
    return *i + 1 < argc ? argv[++*i] : "";
}

static int parse_flag(const char *flag, int argc, char **argv, int *i)
{
    if (strcmp(flag, "--print") == 0) {
        args.print = 1;
    }
    else if (strcmp(flag, "--once") == 0) {
        args.once = 1;
    }
    else if (strcmp(flag, "--ack") == 0) {
        args.ack = 1;
    }
    else if (strcmp(flag, "--retry") == 0) {
        args.retry = 1;
    }
    else if (strcmp(flag, "--mode") == 0) {
        args.mode = value_of(argc, argv, i);
    }
    else if (strcmp(flag, "--until") == 0) {
        args.until = value_of(argc, argv, i);
    }
    else if (strcmp(flag, "--resume") == 0) {
        args.resume = value_of(argc, argv, i);
    }
    else if (strcmp(flag, "--created") == 0) {
        args.created = value_of(argc, argv, i);
    }
    else if (strcmp(flag, "--idle") == 0) {
        args.idle = strtod(value_of(argc, argv, i), NULL);
    }
    else if (strcmp(flag, "--rows") == 0) {
        args.rows = strtoull(value_of(argc, argv, i), NULL, 10);
    }
    else if (strcmp(flag, "--include") == 0 && args.include_count < COLUMNS_MAX) {
        args.include[args.include_count++] = value_of(argc, argv, i);
    }
    else if (strcmp(flag, "--exclude") == 0 && args.exclude_count < COLUMNS_MAX) {
        args.exclude[args.exclude_count++] = value_of(argc, argv, i);
    }
    else {
        return 0;
    }
    return 1;
}

static void parse(int argc, char **argv)
{
    args.mode = "cdc";
    for (int i = 1; i < argc; i++) {
        if (parse_flag(argv[i], argc, argv, &i)) {
            continue;
        }
        if (strchr(argv[i], '=') != NULL && args.given_count < GIVEN_MAX - 1) {
            args.given[args.given_count++] = argv[i];
        }
        else if (args.name_count < STREAMS_MAX) {
            args.names[args.name_count++] = argv[i];
        }
    }
}

static void *wait_for_signal(void *arg)
{
    sigset_t *set = arg;
    int number = 0;
    if (sigwait(set, &number) == 0) {
        api->cancel(src); /* first: once the host is cancelled the source may be gone */
        pg_test_host_cancel(&host);
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

static int compare_waits(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double wait_ms(double part)
{
    return wait_count > 0 ? waits[(uint32_t)((double)(wait_count - 1) * part)] * 1e3 : 0;
}

static void report(double start, double cpu_start)
{
    struct rusage usage;
    double wall = totals.last - start;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    (void)getrusage(RUSAGE_SELF, &usage);
    qsort(waits, wait_count, sizeof waits[0], compare_waits);
    (void)printf("from commit to here: p50 %.2f ms p99 %.2f ms max %.2f ms\n", wait_ms(0.5),
                 wait_ms(0.99), wait_ms(1));
    (void)printf(
        "changes %llu batches %llu boundaries %llu wall %.3f s, %.0f changes/s, cpu %.3f s "
        "(sys %.3f) = %.3f s per M, rss %ld MB\n",
        (unsigned long long)totals.rows, (unsigned long long)totals.batches,
        (unsigned long long)totals.boundaries, wall, wall > 0 ? (double)totals.rows / wall : 0.0,
        cpu, (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
        totals.rows > 0 ? cpu * 1e6 / (double)totals.rows : 0.0, usage.ru_maxrss / 1024);
}

static void drain(void)
{
    double start = seconds(CLOCK_MONOTONIC);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint32_t i = 0; i < shard_count; i++) {
        if (shards[i]->kind == SLUICE_SHARD_SNAPSHOT) {
            read_load(shards[i]);
        }
    }
    for (uint32_t i = 0; i < shard_count; i++) {
        if (shards[i]->kind == SLUICE_SHARD_CHANGES) {
            follow(shards[i]);
        }
    }
    if (!args.print) {
        report(start, cpu);
    }
}

int main(int argc, char **argv)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    parse(argc, argv);
    const struct sluice_component *component = sluice_plugin_postgres_entry_v0()->components[0];
    api = component->source;
    if (!pg_test_host_init(&host, component->options, args.given)) {
        return 2;
    }
    host.log_level = SLUICE_LOG_INFO;
    sluice_status st = api->create(&host.table, &src, &err);
    if (st >= 0) {
        cancel_on_signal();
        st = open_source(&err);
    }
    if (st >= 0) {
        drain();
    }
    else {
        complain("open", &err);
    }
    api->destroy(src);
    for (uint32_t i = 0; i < desc_count; i++) {
        sluice_stream_desc_free(descs[i]);
    }
    pg_test_host_free(&host);
    return st < 0 || failed ? 1 : 0;
}
