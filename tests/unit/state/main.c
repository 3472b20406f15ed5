/* Unit tests of core/state. SQLite allocates through the engine's allocator here, so that the
 * failure loops reach into it. */
#include "test_state.h"

#include <dirent.h>
#include <malloc.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "log/log.h"

/* Most tests are about what is written, not about the disk: memory is enough, and quick. */
static int place_make_in(const char *parent, void **state)
{
    struct place *place = malloc(sizeof *place);
    assert_non_null(place);
    (void)snprintf(place->folder, sizeof place->folder, "%s/sluice-state-XXXXXX", parent);
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->uri, sizeof place->uri, "file:%s", place->folder);
    *state = place;
    return 0;
}

int place_make(void **state)
{
    return place_make_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", state);
}

int place_make_on_disk(void **state)
{
    return place_make_in("/tmp", state);
}

static void folder_remove(const char *folder)
{
    char path[1024];
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return;
    }
    for (const struct dirent *d = NULL; (d = readdir(dir)) != NULL;) {
        struct stat st;
        (void)snprintf(path, sizeof path, "%s/%s", folder, d->d_name);
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 || lstat(path, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            folder_remove(path);
        }
        else {
            (void)unlink(path);
        }
    }
    (void)closedir(dir);
    (void)rmdir(folder);
}

int place_remove(void **state)
{
    struct place *place = *state;
    folder_remove(place->folder);
    free(place);
    return 0;
}

struct sluice_state *open_run(const struct place *place, const char *pipeline)
{
    struct sluice_state *state = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_state_open(place->uri, NULL, pipeline, SLUICE_STATE_RUN, &state, &err) !=
        SLUICE_OK) {
        fail_msg("%s", err.message);
    }
    return state;
}

void expect_refusal(const struct place *place, int32_t how, sluice_status status, const char *words)
{
    struct sluice_state *state = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    sluice_status got = sluice_state_open(place->uri, NULL, "p", how, &state, &err);
    if (got != status || strstr(err.message, words) == NULL) {
        fail_msg("%d, \"%s\" is not in: %s", (int)got, words, err.message);
    }
}

struct sluice_state_stream stream_of(const char *name, int32_t status)
{
    static char source[] = "hr";
    static char sink[] = "lake";
    static char run[] = "20261123T005234Z";
    static char position[] = "00000000016b3748";
    static char stream[200];
    (void)snprintf(stream, sizeof stream, "%s", name);
    struct sluice_state_stream s = {source, stream, sink,    run,      NULL, status, 10,
                                    200,    NOW,    NOW + 5, position, NULL, 0};
    return s;
}

void put_stream(struct sluice_state *state, const char *load, const char *name, int32_t status)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state_stream s = stream_of(name, status);
    if (sluice_state_stream_put(state, load, &s, &err) != SLUICE_OK) {
        fail_msg("%s", err.message);
    }
}

void put_lane(struct sluice_state *state, const char *load, const char *shard, uint64_t epoch)
{
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_state_lane lane = {"lake", shard, epoch, "pos\0ition", 9, 7, 70, NOW};
    if (sluice_state_lane_put(state, load, &lane, &err) != SLUICE_OK) {
        fail_msg("%s", err.message);
    }
}

static sluice_status count_stream(void *ctx, const struct sluice_state_stream *stream)
{
    (void)stream;
    (*(size_t *)ctx)++;
    return SLUICE_OK;
}

size_t count_streams(struct sluice_state *state, const char *load)
{
    size_t count = 0;
    assert_int_equal(sluice_state_streams(state, load, count_stream, &count, NULL), SLUICE_OK);
    return count;
}

static sluice_status count_lane(void *ctx, const struct sluice_state_lane *lane)
{
    (void)lane;
    (*(size_t *)ctx)++;
    return SLUICE_OK;
}

size_t count_lanes(struct sluice_state *state, const char *load)
{
    size_t count = 0;
    assert_int_equal(sluice_state_lanes(state, load, count_lane, &count, NULL), SLUICE_OK);
    return count;
}

void fill(struct sluice_state *state, struct sluice_state_load *load)
{
    int64_t run = 0;
    char stamp[40];
    assert_int_equal(sluice_state_load_begin(state, NOW, 1, load, NULL), SLUICE_OK);
    assert_int_equal(sluice_state_run_begin(state, load->load_id, NOW, &run, NULL), SLUICE_OK);
    assert_int_equal(sluice_state_identity_put(state, "hr", "7301", NULL), SLUICE_OK);
    uint64_t version = 0;
    assert_int_equal(sluice_state_created_put(state, "hr", "slot=s", NULL), SLUICE_OK);
    assert_int_equal(put_feed(state, "lake", 4, "position", NULL), SLUICE_OK);
    assert_int_equal(sluice_state_schema_id(state, "hr", "public.a", "id integer", &version, NULL),
                     SLUICE_OK);
    for (int i = 0; i < 40; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "public.table_with_a_long_name_%d", i);
        put_stream(state, load->load_id, name, SLUICE_STATE_STREAM_LOADING);
        put_lane(state, load->load_id, name, (uint64_t)i);
        assert_int_equal(sluice_state_run_stamp(state, name, NOW, stamp, NULL), SLUICE_OK);
    }
}

char *db_path(const struct place *place)
{
    static char path[200];
    (void)snprintf(path, sizeof path, "%s/p.sluice.db", place->folder);
    return path;
}

void sql(const struct place *place, const char *text)
{
    sqlite3 *db = NULL;
    char *message = NULL;
    assert_int_equal(sqlite3_open(db_path(place), &db), SQLITE_OK);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) {
        fail_msg("%s", message);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

sluice_status put_feed(struct sluice_state *state, const char *sink, uint64_t epoch,
                       const char *position, struct sluice_error *err)
{
    struct sluice_state_feed feed = {"hr", sink, "hr/changes", epoch, position, strlen(position),
                                     120,  30,   NOW,          0};
    return sluice_state_feed_put(state, &feed, err);
}

/* ---- SQLite's memory ---- */

static void *mem_malloc(int size)
{
    return sluice_alloc((size_t)size);
}

static void *mem_realloc(void *p, int size)
{
    return sluice_alloc_resize(p, 1, (size_t)size);
}

static int mem_size(void *p)
{
    return p != NULL ? (int)malloc_usable_size(p) : 0;
}

static int mem_roundup(int size)
{
    return (size + 15) & ~15;
}

static int mem_init(void *data)
{
    (void)data;
    return SQLITE_OK;
}

static void mem_shutdown(void *data)
{
    (void)data;
}

int main(void)
{
    static const sqlite3_mem_methods methods = {mem_malloc,  sluice_free, mem_realloc,  mem_size,
                                                mem_roundup, mem_init,    mem_shutdown, NULL};
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0); /* every allocation can fail */
    sluice_log_setup(0, SLUICE_LOG_FORMAT_TEXT, 0);
    int failed = run_store_tests() + run_sharing_tests() + run_place_tests() + run_damage_tests() +
                 run_feed_tests() + run_format_tests();
    (void)sqlite3_shutdown();
    return failed;
}
