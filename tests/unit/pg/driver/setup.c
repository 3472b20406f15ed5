/*
 * pg_setup: opens the PostgreSQL source for a feed of changes, without the engine, and prints what it
 * made ready; for the integration tests.
 *
 *     pg_setup [--do open|verify|retire|measure|check|discover] [--mode cdc_only|full_load_and_cdc]
 *              [--pipeline NAME] [--resume HEX] [--until TEXT] [--once] [--created TEXT]
 *              [--where SQL] [--exclude COLUMN] [--position HEX] [--fail NAME] [--crash NAME]
 *              [--pause] [--done] [--verbose] key=value … [-|+]table …
 *
 * Tables are loaded and followed; with "-" in front only followed, with "+" only loaded. Lines of
 * standard output: kind, then fields divided by tabs. --pause waits for a line on standard input after
 * open; then the loads are read. --done tells the source that each shard is done.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host.h"
#include "pg/repl.h"
#include "sluice/array.h"
#include "sluice/error.h"
#include "sluice/failpoint.h"
#include "sluice/position.h"
#include "source.h"

extern const struct sluice_plugin *sluice_plugin_postgres_entry_v0(void);

enum { MAX_TABLES = 4096, MAX_SHARDS = 4096 };

struct arguments {
    const char *action;
    const char *mode;
    const char *pipeline;
    const char *resume;
    const char *until;
    const char *created;
    const char *where;
    const char *exclude;
    const char *position;
    const char *fail;
    const char *crash;
    int once;
    int pause;
    int done;
    int verbose;
    const char *given[64];
    uint32_t given_count;
    const char *tables[MAX_TABLES];
    uint32_t table_count;
};

static struct arguments args;
static const struct sluice_source_api *api;
static const struct sluice_shard_desc *shards[MAX_SHARDS];
static uint32_t shard_count;
static int32_t armed = 1;

static int complain(const char *what, const struct sluice_error *err)
{
    (void)fprintf(stderr, "%s: %s%s%s: %s\n", what, sluice_status_name(err->status),
                  (err->flags & SLUICE_ERROR_RETRYABLE) != 0 ? " (retryable)" : "",
                  (err->flags & SLUICE_ERROR_FATAL) != 0 ? " (fatal)" : "", err->message);
    return 1;
}

/* ---------------------------------------------------------------- failpoints ----------------- */

static sluice_status failpoint_hit(const char *name, struct sluice_error *err)
{
    if (args.crash != NULL && strcmp(name, args.crash) == 0) {
        _exit(137);
    }
    if (args.fail != NULL && strcmp(name, args.fail) == 0) {
        return sluice_error_set(err, SLUICE_E_IO, 0, "failpoint %s", name);
    }
    return SLUICE_OK;
}

static int32_t failpoint_torn(const char *name)
{
    (void)name;
    return 0;
}

static void failpoint_crash(void)
{
    _exit(137);
}

static const void *host_extension(void *ctx, const char *id)
{
    (void)ctx;
    static const struct sluice_failpoint_extension extension = {
        (uint32_t)sizeof extension, 0, failpoint_hit, failpoint_torn, failpoint_crash, &armed};
    return strcmp(id, SLUICE_EXTENSION_FAILPOINT) == 0 ? &extension : NULL;
}

/* ---------------------------------------------------------------- visitors ------------------- */

static sluice_status see_stream(void *vctx, const struct sluice_stream_desc *d,
                                const struct sluice_error *problem)
{
    (void)vctx;
    (void)printf("stream\t%s\t%u\t%d\t", d->name, d->flags, d->before);
    for (uint32_t i = 0; d->schema != NULL && i < d->key_count; i++) {
        (void)printf("%s%s", i > 0 ? "," : "", d->schema->children[d->keys[i]]->name);
    }
    (void)printf("\t");
    for (int64_t i = 0; d->schema != NULL && i < d->schema->n_children; i++) {
        (void)printf("%s%s", i > 0 ? "," : "", d->schema->children[i]->name);
    }
    (void)printf("\t%s\t%s\n", d->load_position_text != NULL ? d->load_position_text : "",
                 problem != NULL ? problem->message : "");
    return SLUICE_OK;
}

static sluice_status see_shard(void *vctx, const struct sluice_shard_desc *shard)
{
    (void)vctx;
    char start[17] = "";
    if (shard->start.size == 8) {
        sluice_hex_encode(shard->start.data, 8, start);
    }
    (void)printf("shard\t%s\t%d\t%s\n", shard->id, shard->kind, start);
    if (shard->kind == SLUICE_SHARD_SNAPSHOT && shard_count < MAX_SHARDS) {
        shards[shard_count++] = shard;
    }
    return SLUICE_OK;
}

static sluice_status see_finding(void *vctx, const struct sluice_finding *f)
{
    (void)vctx;
    static const char *const words[] = {"ok", "info", "warn", "error"};
    (void)printf("finding\t%s\t%s\t%s\t%s\t%s\n", words[f->severity], f->subject,
                 f->key != NULL ? f->key : "", f->what, f->remedy != NULL ? f->remedy : "");
    return SLUICE_OK;
}

/* ---------------------------------------------------------------- actions -------------------- */

static int read_shards(struct sluice_source *src)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    for (uint32_t i = 0; i < shard_count; i++) {
        struct sluice_reader *rd = NULL;
        struct sluice_bytes none = {NULL, 0};
        uint64_t rows = 0;
        sluice_status st = api->reader_open(src, shards[i], none, &rd, &err);
        while (st >= 0 && st != SLUICE_END) {
            struct sluice_batch batch = {.struct_size = (uint32_t)sizeof batch};
            st = api->reader_next(rd, 1000000, &batch, &err);
            rows += st == SLUICE_OK ? batch.rows : 0;
            if (st == SLUICE_OK) {
                sluice_array_release(&batch.array);
            }
        }
        api->reader_close(rd);
        if (st < 0) {
            return complain(shards[i]->id, &err);
        }
        (void)printf("rows\t%s\t%llu\n", shards[i]->id, (unsigned long long)rows);
        if (args.done) {
            (void)api->shard_done(src, shards[i]->id, &err);
        }
    }
    return 0;
}

static int verify(struct sluice_source *src, uint64_t position)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_pg_conn *conn = NULL;
    sluice_status st =
        sluice_pg_repl_connect(&src->options.conn, src->host, src->registry, 0, &conn, &err);
    if (st >= 0) {
        st = pg_feed_verify(src, conn, position, &err);
    }
    sluice_pg_close(conn);
    if (st < 0) {
        return complain("verify", &err);
    }
    (void)printf("verified\n");
    return 0;
}

static int measure(struct sluice_source *src, const struct sluice_source_plan *plan,
                   struct sluice_bytes position)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_source_lag lag = {.struct_size = (uint32_t)sizeof lag};
    if (api->measure(src, plan, position, &lag, &err) < 0) {
        return complain("measure", &err);
    }
    (void)printf("lag\t%lld\t%lld\t%lld\t%s\t%s\t%s\n", (long long)lag.behind_bytes,
                 (long long)lag.retained_bytes, (long long)lag.remaining_bytes, lag.position,
                 lag.end, lag.note);
    return 0;
}

static int open_source(struct sluice_source *src, const struct sluice_source_plan *plan,
                       struct sluice_bytes position)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_source_info info = {.struct_size = (uint32_t)sizeof info};
    sluice_status st = api->open(src, plan, &info, see_stream, NULL, &err);
    if (st < 0) {
        return complain("open", &err);
    }
    (void)printf("info\t%s\t%s\t%s\n", info.identity != NULL ? info.identity : "", info.server,
                 info.created != NULL ? info.created : "");
    (void)printf("feed\t%llx\t%llx\t%llx\t%lld\t%d\n", (unsigned long long)src->feed.start,
                 (unsigned long long)src->feed.once_end, (unsigned long long)src->feed.until_lsn,
                 (long long)src->feed.until_us, atomic_load(&src->feed.binary));
    st = api->shards(src, see_shard, NULL, &err);
    if (st < 0) {
        return complain("shards", &err);
    }
    (void)printf("open\n");
    (void)fflush(stdout);
    if (args.pause) {
        (void)getchar();
    }
    int rc = read_shards(src);
    if (rc == 0 && args.done) {
        (void)printf("done\n");
        (void)fflush(stdout);
        if (args.pause) {
            (void)getchar();
        }
    }
    if (rc == 0 && strcmp(args.action, "verify") == 0) {
        rc = verify(src, position.size == 8 ? sluice_get_be64(position.data) : src->feed.start);
    }
    return rc;
}

static int act(struct sluice_source *src, const struct sluice_source_plan *plan,
               struct sluice_bytes position)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status st = SLUICE_OK;
    if (strcmp(args.action, "measure") == 0) {
        return measure(src, plan, position);
    }
    if (strcmp(args.action, "retire") == 0) {
        st = api->retire(src, plan, see_finding, NULL, &err);
    }
    else if (strcmp(args.action, "check") == 0) {
        st = api->check(src, plan, see_finding, NULL, &err);
    }
    else if (strcmp(args.action, "discover") == 0) {
        st = api->discover(src, see_stream, NULL, &err);
    }
    else {
        return open_source(src, plan, position);
    }
    return st < 0 ? complain(args.action, &err) : 0;
}

/* ---------------------------------------------------------------- arguments ------------------ */

static void parse(int argc, char **argv)
{
    static const struct {
        const char *name;
        const char **value;
    } words[] = {
        {"--do", &args.action},     {"--mode", &args.mode},       {"--pipeline", &args.pipeline},
        {"--resume", &args.resume}, {"--until", &args.until},     {"--created", &args.created},
        {"--where", &args.where},   {"--exclude", &args.exclude}, {"--position", &args.position},
        {"--fail", &args.fail},     {"--crash", &args.crash}};
    static const struct {
        const char *name;
        int *value;
    } switches[] = {{"--once", &args.once},
                    {"--pause", &args.pause},
                    {"--done", &args.done},
                    {"--verbose", &args.verbose}};
    args.action = "open";
    args.mode = "full_load_and_cdc";
    args.pipeline = "test";
    for (int i = 1; i < argc; i++) {
        int taken = 0;
        for (size_t k = 0; k < sizeof words / sizeof words[0] && !taken; k++) {
            if (strcmp(argv[i], words[k].name) == 0 && i + 1 < argc) {
                *words[k].value = argv[++i];
                taken = 1;
            }
        }
        for (size_t k = 0; k < sizeof switches / sizeof switches[0] && !taken; k++) {
            if (strcmp(argv[i], switches[k].name) == 0) {
                *switches[k].value = 1;
                taken = 1;
            }
        }
        if (!taken && strchr(argv[i], '=') != NULL && args.given_count < 63) {
            args.given[args.given_count++] = argv[i];
        }
        else if (!taken && args.table_count < MAX_TABLES) {
            args.tables[args.table_count++] = argv[i];
        }
    }
}

static uint32_t make_selects(struct sluice_stream_select *selects,
                             const struct sluice_stream_select **pointers)
{
    for (uint32_t i = 0; i < args.table_count; i++) {
        const char *name = args.tables[i];
        uint32_t flags = SLUICE_SELECT_LOAD | SLUICE_SELECT_CHANGES;
        flags = name[0] == '-'   ? (uint32_t)SLUICE_SELECT_CHANGES
                : name[0] == '+' ? (uint32_t)SLUICE_SELECT_LOAD
                                 : flags;
        selects[i] = (struct sluice_stream_select){
            .struct_size = (uint32_t)sizeof selects[i],
            .flags = flags,
            .name = name[0] == '-' || name[0] == '+' ? name + 1 : name,
            .exclude_count = args.exclude != NULL ? 1u : 0u,
            .exclude_columns = &args.exclude,
            .where = args.where};
        pointers[i] = &selects[i];
    }
    return args.table_count;
}

int main(int argc, char **argv)
{
    static struct pg_test_host host;
    static struct sluice_stream_select selects[MAX_TABLES];
    static const struct sluice_stream_select *pointers[MAX_TABLES];
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_source *src = NULL;
    uint8_t resume_bytes[8];
    uint8_t position_bytes[8];
    parse(argc, argv);
    const struct sluice_component *component = sluice_plugin_postgres_entry_v0()->components[0];
    api = component->source;
    if (!pg_test_host_init(&host, component->options, args.given)) {
        return 2;
    }
    host.table.extension = host_extension;
    host.log_level = args.verbose ? SLUICE_LOG_DEBUG : SLUICE_LOG_WARN;
    struct sluice_resume resume = {.struct_size = (uint32_t)sizeof resume,
                                   .shard_id = "pg/changes"};
    struct sluice_bytes position = {NULL, 0};
    const struct sluice_resume *resumes[] = {&resume};
    if ((args.resume != NULL &&
         sluice_hex_decode(args.resume, strlen(args.resume), resume_bytes, 8, &err) < 0) ||
        (args.position != NULL &&
         sluice_hex_decode(args.position, strlen(args.position), position_bytes, 8, &err) < 0)) {
        return complain("arguments", &err);
    }
    resume.position = (struct sluice_bytes){resume_bytes, args.resume != NULL ? 8u : 0u};
    position = (struct sluice_bytes){position_bytes, args.position != NULL ? 8u : 0u};
    struct sluice_source_plan plan = {
        .struct_size = (uint32_t)sizeof plan,
        .mode = strcmp(args.mode, "cdc_only") == 0         ? SLUICE_MODE_CDC_ONLY
                : strcmp(args.mode, "full_load_only") == 0 ? SLUICE_MODE_FULL_LOAD_ONLY
                                                           : SLUICE_MODE_FULL_LOAD_AND_CDC,
        .flags = args.once ? SLUICE_PLAN_ONCE : 0u,
        .parallelism = 2,
        .pipeline = args.pipeline,
        .node = "pg",
        .stream_count = make_selects(selects, pointers),
        .resume_count = args.resume != NULL ? 1u : 0u,
        .streams = pointers,
        .resumes = resumes,
        .until = args.until,
        .created = args.created};
    int rc = api->create(&host.table, &src, &err) < 0 ? complain("create", &err)
                                                      : act(src, &plan, position);
    api->destroy(src);
    pg_test_host_free(&host);
    return rc;
}
