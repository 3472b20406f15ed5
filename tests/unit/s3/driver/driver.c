/*
 * Drives an S3 store by lines on stdin, one command a line, one answer a line on stdout. Words are
 * divided by single spaces, with %20 and the like for odd bytes.
 *
 *   set NAME VALUE       an option, before `create`
 *   create | open | check
 *   put KEY new|over TEXT
 *   get KEY MAX
 *   list PREFIX [AFTER]
 *   upload KEY BYTES PIECE [finish|abort]   deterministic bytes, written in pieces
 *   parallel N BYTES     N uploads at once, keys par/0 …
 *   cancel_after MS      from another thread
 *   memory MAX           budget in bytes
 *   peak | counter NAME
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake_host.h"
#include "s3/s3.h"
#include "s3/uri.h"

static struct fake_host host;
static struct sluice_s3_options options = {
    .part_size = 8 << 20,
    .upload_concurrency = 4,
    .connect_timeout = 5000000,
    .stall_timeout = 20000000,
    .request_timeout = 60000000,
    .retry_attempts = 10,
    .retry_timeout = 30000000,
};
static struct sluice_lake_store *store;
static const struct sluice_lake_store_api *const api = &sluice_s3_store_api;

static double now_s(void)
{
    return (double)host.table.now_us(&host, SLUICE_CLOCK_MONOTONIC) / 1e6;
}

/* Decodes in place. */
static char *decode(char *word)
{
    struct sluice_s3_buf buf = {.max = 64 << 20};
    sluice_s3_uri_unescape(&buf, word, strlen(word));
    memcpy(word, sluice_s3_buf_text(&buf), buf.size + 1);
    sluice_s3_buf_free(&buf);
    return word;
}

static void print_encoded(const char *text, size_t size)
{
    struct sluice_s3_buf buf = {.max = 64 << 20};
    sluice_s3_uri_escape(&buf, text, size, true);
    (void)printf("%s", sluice_s3_buf_text(&buf));
    sluice_s3_buf_free(&buf);
}

/* "STATUS FLAGS NATIVE SECONDS message" */
static void answer(sluice_status status, const struct sluice_error *err, double since)
{
    (void)printf("%s %u %d %.3f ", status == SLUICE_OK ? "OK" : sluice_status_name(status),
                 status < 0 ? err->flags : 0, status < 0 ? err->native_code : 0, now_s() - since);
    if (status < 0) {
        print_encoded(err->message, strlen(err->message));
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

/* Repeats at a prime, so that no two parts are alike. */
static uint8_t pattern[65521];

static void make_pattern(void)
{
    for (uint64_t i = 0; i < sizeof pattern; i++) {
        pattern[i] = (uint8_t)((i * 2654435761u) >> 13);
    }
}

static void fill(uint8_t *to, uint64_t at, uint64_t size)
{
    while (size > 0) {
        const uint64_t from = at % sizeof pattern;
        const uint64_t piece = sizeof pattern - from < size ? sizeof pattern - from : size;
        memcpy(to, pattern + from, piece);
        to += piece;
        at += piece;
        size -= piece;
    }
}

static sluice_status upload(const char *key, uint64_t bytes, uint64_t piece, bool finish,
                            struct sluice_error *err)
{
    struct sluice_lake_upload *up = NULL;
    SLUICE_TRY(api->upload_open(store, key, "application/x-ndjson", NULL, &up, err));
    sluice_status status = SLUICE_OK;
    uint64_t at = 0;
    while (status == SLUICE_OK && at < bytes) {
        uint8_t *room = NULL;
        uint64_t size = 0;
        status = api->upload_room(up, &room, &size, err);
        if (status < 0) {
            break;
        }
        size = size < piece ? size : piece;
        size = size < bytes - at ? size : bytes - at;
        fill(room, at, size);
        at += size;
        status = api->upload_advance(up, size, err);
    }
    if (status == SLUICE_OK && finish) {
        status = api->upload_finish(up, err);
        if (status == SLUICE_OK) {
            return status;
        }
    }
    api->upload_abort(up);
    return status;
}

struct job {
    pthread_t thread;
    char key[32];
    uint64_t bytes;
    sluice_status status;
    struct sluice_error err;
};

static void *job_main(void *arg)
{
    struct job *job = arg;
    job->status = upload(job->key, job->bytes, 100000, true, &job->err);
    return NULL;
}

static sluice_status parallel(uint32_t count, uint64_t bytes, struct sluice_error *err)
{
    struct job jobs[16];
    sluice_status status = SLUICE_OK;
    for (uint32_t i = 0; i < count && i < 16; i++) {
        memset(&jobs[i], 0, sizeof jobs[i]);
        (void)snprintf(jobs[i].key, sizeof jobs[i].key, "par/%u", i);
        jobs[i].bytes = bytes + i;
        pthread_create(&jobs[i].thread, NULL, job_main, &jobs[i]);
    }
    for (uint32_t i = 0; i < count && i < 16; i++) {
        pthread_join(jobs[i].thread, NULL);
        if (jobs[i].status < 0) {
            status = jobs[i].status;
            *err = jobs[i].err;
        }
    }
    return status;
}

static pthread_t canceller;
static bool canceller_runs;

static void *cancel_main(void *arg)
{
    const long ms = (long)(intptr_t)arg;
    const struct timespec wait = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&wait, NULL);
    fake_host_cancel(&host);
    api->cancel(store);
    return NULL;
}

static sluice_status on_key(void *vctx, const char *key, uint64_t size, int64_t modified_us)
{
    (void)vctx;
    (void)printf("key ");
    print_encoded(key, strlen(key));
    (void)printf(" %llu %d\n", (unsigned long long)size, modified_us > 0);
    return SLUICE_OK;
}

static sluice_status on_finding(void *vctx, const struct sluice_finding *finding)
{
    (void)vctx;
    (void)printf("finding %d %s ", finding->severity, finding->key != NULL ? finding->key : "-");
    print_encoded(finding->what, strlen(finding->what));
    (void)printf(" ");
    print_encoded(finding->remedy != NULL ? finding->remedy : "-",
                  strlen(finding->remedy != NULL ? finding->remedy : "-"));
    (void)printf("\n");
    return SLUICE_OK;
}

static void set_option(const char *name, char *value)
{
    static const struct {
        const char *name;
        size_t offset;
        bool text;
    } known[] = {
#define TEXT(member) {#member, offsetof(struct sluice_s3_options, member), true}
#define NUMBER(member)                                             \
    {                                                              \
#member, offsetof(struct sluice_s3_options, member), false \
    }
        TEXT(bucket),
        TEXT(prefix),
        TEXT(region),
        TEXT(endpoint),
        NUMBER(path_style),
        TEXT(access_key_id),
        TEXT(secret_access_key),
        TEXT(session_token),
        TEXT(profile),
        TEXT(ca_file),
        TEXT(proxy),
        NUMBER(part_size),
        NUMBER(upload_concurrency),
        NUMBER(server_side_encryption),
        TEXT(kms_key_id),
        TEXT(storage_class),
        NUMBER(checksum),
        NUMBER(sign_payload),
        NUMBER(connect_timeout),
        NUMBER(stall_timeout),
        NUMBER(request_timeout),
        NUMBER(retry_attempts),
        NUMBER(retry_timeout),
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char *at = (char *)&options + known[i].offset;
        if (strcmp(known[i].name, name) != 0) {
            continue;
        }
        if (known[i].text) {
            char *copy = strdup(decode(value));
            memcpy(at, &copy, sizeof copy);
        }
        else {
            const int64_t number = strtoll(value, NULL, 10);
            memcpy(at, &number, sizeof number);
        }
        return;
    }
    abort();
}

static sluice_status get(const char *key, uint64_t max, struct sluice_error *err)
{
    uint8_t *data = NULL;
    uint64_t size = 0;
    SLUICE_TRY(api->get(store, key, max, &data, &size, err));
    (void)printf("data ");
    print_encoded((const char *)data, (size_t)size);
    (void)printf("\n");
    free(data);
    return SLUICE_OK;
}

static sluice_status store_command(char **words, int count, struct sluice_error *err)
{
    const char *name = words[0];
    if (strcmp(name, "create") == 0) {
        return sluice_s3_store_create(&host.table, &options, &store, err);
    }
    if (strcmp(name, "open") == 0) {
        return api->open(store, err);
    }
    if (strcmp(name, "check") == 0) {
        return api->check(store, on_finding, NULL, err);
    }
    if (strcmp(name, "put") == 0 && count == 4) {
        const char *text = decode(words[3]);
        return api->put(store, decode(words[1]), text, strlen(text),
                        strcmp(words[2], "new") == 0 ? SLUICE_LAKE_PUT_NEW : 0, "application/json",
                        err);
    }
    if (strcmp(name, "get") == 0 && count == 3) {
        return get(decode(words[1]), strtoull(words[2], NULL, 10), err);
    }
    if (strcmp(name, "list") == 0 && count >= 2) {
        return api->list(store, decode(words[1]), count > 2 ? decode(words[2]) : NULL, on_key, NULL,
                         err);
    }
    if (strcmp(name, "upload") == 0 && count >= 4) {
        return upload(decode(words[1]), strtoull(words[2], NULL, 10), strtoull(words[3], NULL, 10),
                      count < 5 || strcmp(words[4], "finish") == 0, err);
    }
    if (strcmp(name, "parallel") == 0 && count == 3) {
        return parallel((uint32_t)strtoul(words[1], NULL, 10), strtoull(words[2], NULL, 10), err);
    }
    return sluice_error_set(err, SLUICE_E_INVALID, 0, "unknown command %s", name);
}

static void command(char **words, int count)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    const double since = now_s();
    if (strcmp(words[0], "set") == 0 && count == 3) {
        set_option(words[1], words[2]);
    }
    else if (strcmp(words[0], "memory") == 0 && count == 2) {
        host.memory_max = strtoll(words[1], NULL, 10);
    }
    else if (strcmp(words[0], "cancel_after") == 0 && count == 2) {
        canceller_runs = pthread_create(&canceller, NULL, cancel_main,
                                        (void *)(intptr_t)strtol(words[1], NULL, 10)) == 0;
    }
    else if (strcmp(words[0], "peak") == 0) {
        (void)printf("number %lld\n", (long long)atomic_load(&host.memory_peak));
    }
    else if (strcmp(words[0], "counter") == 0 && count == 2) {
        (void)printf("number %lld\n", (long long)fake_host_counter(&host, words[1]));
    }
    else {
        const sluice_status status = store_command(words, count, &err);
        answer(status, &err, since);
        return;
    }
    answer(SLUICE_OK, &err, since);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t size = 0;
    make_pattern();
    fake_host_init(&host);
    host.log_level = SLUICE_LOG_DEBUG;
    while ((size = getline(&line, &cap, stdin)) > 0) {
        char *words[8];
        char *rest = NULL;
        int count = 0;
        line[size - 1] = '\0';
        for (char *word = strtok_r(line, " ", &rest); word != NULL && count < 8;
             word = strtok_r(NULL, " ", &rest)) {
            words[count++] = word;
        }
        if (count > 0) {
            command(words, count);
        }
    }
    if (canceller_runs) {
        pthread_join(canceller, NULL);
    }
    if (store != NULL) {
        api->destroy(store);
    }
    free(line);
    free((void *)(uintptr_t)options.bucket);
    free((void *)(uintptr_t)options.prefix);
    free((void *)(uintptr_t)options.region);
    free((void *)(uintptr_t)options.endpoint);
    free((void *)(uintptr_t)options.access_key_id);
    free((void *)(uintptr_t)options.secret_access_key);
    free((void *)(uintptr_t)options.session_token);
    free((void *)(uintptr_t)options.profile);
    free((void *)(uintptr_t)options.ca_file);
    free((void *)(uintptr_t)options.proxy);
    free((void *)(uintptr_t)options.kms_key_id);
    free((void *)(uintptr_t)options.storage_class);
    const int64_t left = atomic_load(&host.memory);
    fake_host_free(&host);
    if (left != 0) {
        (void)fprintf(stderr, "memory not given back: %lld\n", (long long)left);
        return 3;
    }
    return 0;
}
