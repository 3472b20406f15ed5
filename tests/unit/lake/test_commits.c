/* The manifest sequence: taking turns, lost replies, fencing, finding the end, recovery. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lake/commits.h"
#include "support.h"

struct fixture {
    struct test_host host;
    struct mem_store store;
    struct sluice_lake_commits log;
};

static void open_log(struct fixture *f, struct sluice_lake_commits *log)
{
    assert_int_equal(sluice_lake_commits_init(log, &f->host.host, &mem_store_api,
                                              mem_store_cast(&f->store), NULL),
                     SLUICE_OK);
    assert_int_equal(sluice_lake_commits_open(log, "p", "lake", NULL), SLUICE_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    test_host_init(&f->host, NULL);
    mem_store_init(&f->store, &f->host.host);
    open_log(f, &f->log);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    sluice_lake_commits_free(&f->log);
    mem_store_free(&f->store);
    free(f);
    return 0;
}

static struct sluice_lake_manifest complete(const char *stream)
{
    struct sluice_lake_manifest m = {.kind = SLUICE_LAKE_KIND_COMPLETE};
    m.mode = SLUICE_MODE_FULL_LOAD_ONLY;
    m.pipeline = "p";
    m.sink = "lake";
    m.run = "20261123T005234Z";
    m.token.data = "tok\0en";
    m.token.size = 6;
    m.stream_name = stream;
    m.rows = 12;
    return m;
}

static void one_manifest(void **state)
{
    struct fixture *f = *state;
    struct sluice_lake_manifest m = complete("public.t");
    int32_t again = 1;
    assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, NULL), SLUICE_OK);
    assert_int_equal(again, 0);
    assert_int_equal(m.seq, 1);
    const struct mem_object *o =
        mem_store_find(&f->store, "_sluice/p/lake/commits/00000000000000000001.json");
    assert_non_null(o);
    char text[1024];
    memcpy(text, o->data, o->size);
    text[o->size] = 0;
    char want[1024];
    (void)snprintf(want, sizeof want,
                   "{\"format\":1,\"pipeline\":\"p\",\"mode\":\"full_load_only\","
                   "\"sink\":\"lake\",\"seq\":1,\"attempt\":\"%s-1\",\"kind\":\"complete\","
                   "\"run\":\"20261123T005234Z\",\"committed_at\":\"2026-11-23T00:52:34.123456Z\","
                   "\"token\":\"dG9rAGVu\",\"streams\":[{\"name\":\"public.t\","
                   "\"run\":\"20261123T005234Z\",\"rows\":12,\"position\":null}]}",
                   f->log.instance);
    assert_string_equal(text, want);
}

static void lost_reply(void **state)
{
    struct fixture *f = *state;
    struct sluice_lake_manifest m = complete("a");
    int32_t again = 0;
    /* The store tried again by itself after the reply was lost, and now meets our own object. */
    f->store.lose_reply = 1;
    f->store.lost_status = SLUICE_E_CONFLICT;
    assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, NULL), SLUICE_OK);
    assert_int_equal(again, 0);
    assert_int_equal(f->log.next, 2);
    assert_int_equal(f->store.count, 1);
}

static void unknown_outcome(void **state)
{
    struct fixture *f = *state;
    struct sluice_lake_manifest a = complete("a");
    struct sluice_lake_manifest b = complete("b");
    struct sluice_error err = SLUICE_ERROR_INIT;
    int32_t again = 0;
    /* a is there, but we could not learn it */
    f->store.lose_reply = 1;
    f->store.lost_status = SLUICE_E_IO;
    assert_int_equal(sluice_lake_commits_append(&f->log, &a, &again, &err), SLUICE_E_IO);
    assert_true(err.flags & SLUICE_ERROR_RETRYABLE);
    /* other work steps over it */
    assert_int_equal(sluice_lake_commits_append(&f->log, &b, &again, NULL), SLUICE_OK);
    assert_int_equal(again, 0);
    assert_int_equal(b.seq, 2);
    /* and the same work is not committed twice */
    f->store.lose_reply = 1;
    struct sluice_lake_manifest c = complete("c");
    assert_int_equal(sluice_lake_commits_append(&f->log, &c, &again, &err), SLUICE_E_IO);
    assert_int_equal(sluice_lake_commits_append(&f->log, &c, &again, NULL), SLUICE_OK);
    assert_int_equal(again, 1);
    assert_int_equal(f->store.count, 3);
    /* a failure without effect costs no number */
    f->store.fail_put = 1;
    struct sluice_lake_manifest d = complete("d");
    assert_int_equal(sluice_lake_commits_append(&f->log, &d, &again, &err), SLUICE_E_IO);
    assert_int_equal(sluice_lake_commits_append(&f->log, &d, &again, NULL), SLUICE_OK);
    assert_int_equal(d.seq, 4);
}

static void fencing(void **state)
{
    struct fixture *f = *state;
    struct sluice_lake_commits other = {0};
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_lake_manifest m = complete("a");
    int32_t again = 0;
    open_log(f, &other);
    assert_int_equal(sluice_lake_commits_append(&other, &m, &again, NULL), SLUICE_OK);
    assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, &err), SLUICE_E_CONFLICT);
    assert_true(err.flags & SLUICE_ERROR_FATAL);
    assert_non_null(strstr(err.message, "fenced"));
    assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, &err), SLUICE_E_CONFLICT);
    assert_int_equal(f->store.count, 1);
    sluice_lake_commits_free(&other);
}

static void add_numbers(struct fixture *f, uint64_t from, uint64_t to)
{
    /* in order already: no sorting per object */
    for (uint64_t seq = from; seq <= to; seq++) {
        char key[128];
        (void)snprintf(key, sizeof key, "_sluice/p/lake/commits/%020" PRIu64 ".json", seq);
        f->store.objects =
            realloc(f->store.objects, (f->store.count + 1) * sizeof *f->store.objects);
        assert_non_null(f->store.objects);
        struct mem_object *o = &f->store.objects[f->store.count++];
        o->key = strdup(key);
        o->data = calloc(1, 1);
        o->size = 1;
    }
}

static void finds_the_end(void **state)
{
    static const uint64_t counts[] = {1, 2, 999, 1000, 1001, 1999, 2000, 2001, 5000, 12345};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct fixture *f = NULL;
        assert_int_equal(setup((void **)&f), 0);
        add_numbers(f, 1, counts[i]);
        struct sluice_lake_commits log = {0};
        open_log(f, &log);
        assert_int_equal(log.next, counts[i] + 1);
        sluice_lake_commits_free(&log);
        assert_int_equal(teardown((void **)&f), 0);
    }
    /* old manifests removed, and other files in the folder */
    struct fixture *f = NULL;
    assert_int_equal(setup((void **)&f), 0);
    add_numbers(f, 40000, 43210);
    mem_store_add(&f->store, "_sluice/p/lake/commits/README", "x", 1);
    mem_store_add(&f->store, "_sluice/p/lake/commits/99999999999999999999.json.bak", "x", 1);
    struct sluice_lake_commits log = {0};
    open_log(f, &log);
    assert_int_equal(log.next, 43211);
    sluice_lake_commits_free(&log);
    assert_int_equal(teardown((void **)&f), 0);
}

struct seen {
    int count;
    int stop_after;
    char streams[8][32];
};

static sluice_status see(void *vctx, const struct sluice_recovered *found)
{
    struct seen *seen = vctx;
    assert_int_equal(found->kind, SLUICE_RECOVERED_STREAM_COMPLETE);
    assert_string_equal(found->run, "20261123T005234Z");
    assert_int_equal(found->rows, 12);
    assert_int_equal(found->token.size, 6);
    assert_memory_equal(found->token.data, "tok\0en", 6);
    (void)snprintf(seen->streams[seen->count++], 32, "%s", found->stream);
    return seen->count == seen->stop_after ? SLUICE_END : SLUICE_OK;
}

static void recovery(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"a", "b", "c"};
    int32_t again = 0;
    for (int i = 0; i < 3; i++) {
        struct sluice_lake_manifest m = complete(names[i]);
        assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, NULL), SLUICE_OK);
    }
    struct sluice_lake_commits log = {0};
    open_log(f, &log);
    struct seen seen = {.stop_after = 99};
    assert_int_equal(sluice_lake_commits_recover(&log, see, &seen, NULL), SLUICE_OK);
    assert_int_equal(seen.count, 3);
    assert_string_equal(seen.streams[0], "c");
    assert_string_equal(seen.streams[2], "a");
    struct seen two = {.stop_after = 2};
    assert_int_equal(sluice_lake_commits_recover(&log, see, &two, NULL), SLUICE_OK);
    assert_int_equal(two.count, 2);
    /* the other one went on: this one is fenced, not led on */
    struct sluice_lake_manifest m = complete("d");
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_lake_commits_append(&f->log, &m, &again, NULL), SLUICE_OK);
    struct seen more = {.stop_after = 99};
    assert_int_equal(sluice_lake_commits_recover(&log, see, &more, &err), SLUICE_E_CONFLICT);
    sluice_lake_commits_free(&log);
}

static void bad_manifests(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"format\":1}",
                                        "{\"format\":1,\"kind\":\"odd\"}",
                                        "{\"format\":2,\"kind\":\"full\"}",
                                        "{\"format\":1,\"kind\":\"full\",\"token\":\"!\"}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct sluice_lake_found found = {0};
        struct sluice_error err = SLUICE_ERROR_INIT;
        sluice_status st =
            sluice_lake_manifest_read((const uint8_t *)texts[i], strlen(texts[i]), &found, &err);
        assert_true(st == SLUICE_E_DATA || st == SLUICE_E_UNSUPPORTED);
    }
}

int run_commit_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(lost_reply, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_outcome, setup, teardown),
        cmocka_unit_test_setup_teardown(fencing, setup, teardown),
        cmocka_unit_test(finds_the_end),
        cmocka_unit_test_setup_teardown(recovery, setup, teardown),
        cmocka_unit_test(bad_manifests)};
    return cmocka_run_group_tests_name("lake commits", tests, NULL, NULL);
}
