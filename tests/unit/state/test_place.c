/* Where the state lies, who may read it, who holds it. */
#include "test_state.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/failpoint.h"

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (unsigned)(st.st_mode & 07777);
}

static void files_are_private(void **state)
{
    struct place *place = *state;
    char path[200];
    mode_t old = umask(0);
    (void)snprintf(place->uri, sizeof place->uri, "file:%s/a/b/", place->folder);
    struct sluice_state *s = open_run(place, "p");
    (void)umask(old);
    (void)snprintf(path, sizeof path, "%s/a", place->folder);
    assert_int_equal(mode_of(path), 0700);
    (void)snprintf(path, sizeof path, "%s/a/b", place->folder);
    assert_int_equal(mode_of(path), 0700);
    (void)snprintf(path, sizeof path, "%s/a/b/p.sluice.db", place->folder);
    assert_string_equal(sluice_state_path(s), path);
    assert_int_equal(mode_of(path), 0600);
    (void)snprintf(path, sizeof path, "%s/a/b/p.sluice.db-wal", place->folder);
    assert_int_equal(mode_of(path), 0600);
    (void)snprintf(path, sizeof path, "%s/a/b/p.sluice.lock", place->folder);
    assert_int_equal(mode_of(path), 0600);
    sluice_state_close(s);
    (void)snprintf(path, sizeof path, "%s/a/b/p.sluice.db-wal", place->folder);
    assert_int_not_equal(access(path, F_OK), 0); /* one file is left */
}

static void uris_are_checked(void **state)
{
    struct place *place = *state;
    struct sluice_state *s = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    static const char *const wrong[] = {"", "file:", "http://x", "/plain", "file://host/x"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(sluice_state_open(wrong[i], NULL, "p", SLUICE_STATE_RUN, &s, &err),
                         SLUICE_E_INVALID);
    }
    assert_int_equal(sluice_state_open(NULL, NULL, "p", SLUICE_STATE_RUN, &s, &err),
                     SLUICE_E_INVALID);
    static const char *const names[] = {"", ".", "..", "a/b", "../x", ".hidden", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(sluice_state_open(place->uri, NULL, names[i], SLUICE_STATE_RUN, &s, &err),
                         SLUICE_E_INVALID);
    }
    (void)snprintf(place->uri, sizeof place->uri, "file://%s", place->folder);
    s = open_run(place, "three-slashes");
    sluice_state_close(s);
    assert_int_equal(sluice_state_open(NULL, place->folder, "p", SLUICE_STATE_RUN, &s, &err),
                     SLUICE_OK);
    sluice_state_close(s);
    char path[200];
    (void)snprintf(path, sizeof path, "file:%s/p.sluice.db", place->folder);
    assert_int_equal(sluice_state_open(path, NULL, "p", SLUICE_STATE_RUN, &s, &err),
                     SLUICE_E_INVALID);
    assert_non_null(strstr(err.message, "not a folder"));
    (void)snprintf(path, sizeof path, "file:%s/p.sluice.db/x", place->folder);
    assert_int_equal(sluice_state_open(path, NULL, "p", SLUICE_STATE_RUN, &s, &err),
                     SLUICE_E_INVALID);
}

static void nothing_to_read_yet(void **state)
{
    struct place *place = *state;
    char path[200];
    expect_refusal(place, SLUICE_STATE_READ, SLUICE_E_NOT_FOUND, "pipeline p has no state yet");
    (void)snprintf(path, sizeof path, "%s/p.sluice.lock", place->folder);
    assert_int_not_equal(access(path, F_OK), 0); /* reading makes nothing */
    (void)snprintf(path, sizeof path, "%s/p.sluice.db", place->folder);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(close(fd), 0);
    expect_refusal(place, SLUICE_STATE_READ, SLUICE_E_NOT_FOUND, "is empty");
    struct sluice_state *s = open_run(place, "p"); /* a run that died before its first write */
    sluice_state_close(s);
}

static void second_run_is_refused(void **state)
{
    struct place *place = *state;
    char words[80];
    struct sluice_state *s = open_run(place, "p");
    (void)snprintf(words, sizeof words, "already being run, by process %ld on ", (long)getpid());
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_CONFLICT, words);
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_CONFLICT, " since 20");
    struct sluice_state *other = open_run(place, "q"); /* another pipeline is free */
    sluice_state_close(other);
    sluice_state_close(s);
    s = open_run(place, "p");
    sluice_state_close(s);
}

/* The lock of a process that was killed is free at once. */
static void killed_holder_leaves_no_lock(void **state)
{
    struct place *place = *state;
    int fds[2];
    char byte = 0;
    int status = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sluice_state_load load;
        struct sluice_state *s = open_run(place, "p");
        fill(s, &load);
        if (write(fds[1], "x", 1) == 1) {
            (void)pause();
        }
        _exit(1);
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    expect_refusal(place, SLUICE_STATE_RUN, SLUICE_E_CONFLICT, "already being run");
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    struct sluice_state_load load;
    struct sluice_state *s = open_run(place, "p");
    assert_int_equal(sluice_state_load_last(s, &load, NULL), SLUICE_OK);
    assert_int_equal(count_streams(s, load.load_id), 40);
    sluice_state_close(s);
    (void)close(fds[0]);
    (void)close(fds[1]);
}

/* Killed before the n-th commit: everything before it is there, nothing of it. */
static void killed_commits_are_whole(void **state)
{
    struct place *place = *state;
    for (int n = 2; n < 40; n += 9) {
        char pipeline[20];
        char spec[60];
        int status = 0;
        (void)snprintf(pipeline, sizeof pipeline, "n%d", n);
        (void)snprintf(spec, sizeof spec, "state.commit=crash@%d", n);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct sluice_state *s = open_run(place, pipeline);
            if (sluice_failpoints_arm(spec, NULL) == SLUICE_OK) {
                for (int i = 0; i < 100; i++) {
                    char shard[20];
                    (void)snprintf(shard, sizeof shard, "s%d", i);
                    put_lane(s, "l", shard, 1);
                }
            }
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        struct sluice_state *s = open_run(place, pipeline);
        assert_int_equal(count_lanes(s, "l"), n - 1);
        sluice_state_close(s);
    }
}

/* In a child, because root may write everywhere. */
static int unprivileged(const struct place *place, int32_t how)
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct sluice_state *s = NULL;
        struct sluice_error err = SLUICE_ERROR_INIT;
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) {
            _exit(99);
        }
        sluice_status got = sluice_state_open(place->uri, NULL, "p", how, &s, &err);
        if (got < 0 && strstr(err.message, "state.uri") == NULL && how == SLUICE_STATE_RUN) {
            _exit(98);
        }
        _exit(-got);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void read_only_folders_are_told(void **state)
{
    struct place *place = *state;
    char path[200];
    assert_int_equal(chmod(place->folder, 0555), 0);
    assert_int_equal(unprivileged(place, SLUICE_STATE_RUN), -SLUICE_E_PERMISSION);
    (void)snprintf(place->uri, sizeof place->uri, "file:%s/deeper", place->folder);
    assert_int_equal(unprivileged(place, SLUICE_STATE_RUN), -SLUICE_E_PERMISSION);
    (void)snprintf(place->uri, sizeof place->uri, "file:%s", place->folder);
    assert_int_equal(chmod(place->folder, 0755), 0);
    struct sluice_state *s = open_run(place, "p");
    sluice_state_close(s);
    if (geteuid() == 0) {
        assert_int_equal(unprivileged(place, SLUICE_STATE_READ), -SLUICE_E_PERMISSION);
        (void)snprintf(path, sizeof path, "%s/p.sluice.db", place->folder);
        assert_int_equal(unlink(path), 0);
        (void)snprintf(path, sizeof path, "%s/p.sluice.lock", place->folder);
        assert_int_equal(chmod(path, 0666), 0);
        assert_int_equal(unprivileged(place, SLUICE_STATE_RUN), -SLUICE_E_PERMISSION);
    }
}

static sluice_status see_name(void *ctx, const char *pipeline, const char *path)
{
    char *names = ctx;
    size_t used = strlen(names);
    assert_int_equal(access(path, F_OK), 0);
    (void)snprintf(names + used, 100 - used, "%s ", pipeline);
    return strcmp(pipeline, "stop") == 0 ? SLUICE_END : SLUICE_OK;
}

static void states_are_listed(void **state)
{
    struct place *place = *state;
    static const char *const pipelines[] = {"b", "a.b-c", "zz", "stop"};
    char names[100] = "";
    assert_int_equal(sluice_state_list("file:/nonexistent/x", NULL, see_name, names, NULL),
                     SLUICE_OK);
    for (size_t i = 0; i < 4; i++) {
        struct sluice_state *s = open_run(place, pipelines[i]);
        sluice_state_close(s);
    }
    assert_int_equal(sluice_state_list(place->uri, NULL, see_name, names, NULL), SLUICE_OK);
    assert_string_equal(names, "a.b-c b stop ");
    assert_int_equal(sluice_state_list("nonsense", NULL, see_name, names, NULL), SLUICE_E_INVALID);
}

int run_place_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_private, place_make, place_remove),
        cmocka_unit_test_setup_teardown(uris_are_checked, place_make, place_remove),
        cmocka_unit_test_setup_teardown(nothing_to_read_yet, place_make, place_remove),
        cmocka_unit_test_setup_teardown(second_run_is_refused, place_make, place_remove),
        cmocka_unit_test_setup_teardown(killed_holder_leaves_no_lock, place_make, place_remove),
        cmocka_unit_test_setup_teardown(killed_commits_are_whole, place_make, place_remove),
        cmocka_unit_test_setup_teardown(read_only_folders_are_told, place_make, place_remove),
        cmocka_unit_test_setup_teardown(states_are_listed, place_make, place_remove),
    };
    return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
