/* Files and folders: what is loaded, what is refused, and in which words. */
#include "test_plugin.h"

#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "log/log.h"

static struct sluice_registry *load(const char *folder)
{
    struct sluice_registry *registry = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    if (sluice_registry_create(&folder, 1, &registry, &err) != SLUICE_OK) {
        fail_msg("%s", err.message);
    }
    return registry;
}

/* Loads a folder with one bad plugin and one good one; the refusal must hold `words`. */
static void expect_refusal(const char *folder, const char *words)
{
    (void)module_copy(folder, "good", "zz_good.so");
    struct sluice_registry *registry = load(folder);
    struct sluice_registry_plugin found;
    assert_int_equal(sluice_registry_plugin_count(registry), 2);
    sluice_registry_plugin(registry, 0, &found);
    assert_null(found.plugin);
    assert_non_null(found.refusal);
    if (strstr(found.refusal, words) == NULL) {
        fail_msg("\"%s\" is not in: %s", words, found.refusal);
    }
    assert_non_null(sluice_registry_find(registry, SLUICE_SOURCE, "good"));
    sluice_registry_destroy(registry);
}

static void good_is_loaded(void **state)
{
    (void)state;
    char *folder = temp_folder_make();
    (void)module_copy(folder, "good", "good.so");
    (void)module_copy(folder, "second", "second.so");
    file_write(folder, "README.md", "x", 1);
    file_write(folder, ".hidden.so", "x", 1);
    file_write(folder, ".so", "x", 1);
    struct sluice_registry *registry = load(folder);
    assert_int_equal(sluice_registry_plugin_count(registry), 2);
    assert_int_equal(sluice_registry_component_count(registry), 2);
    const struct sluice_component *good = sluice_registry_find(registry, SLUICE_SOURCE, "good");
    assert_non_null(good);
    assert_null(sluice_registry_find(registry, SLUICE_SINK, "good"));
    assert_null(sluice_registry_find(registry, SLUICE_SOURCE, "none"));
    assert_string_equal(sluice_registry_owner(registry, good)->name, "good");
    assert_string_equal(sluice_registry_owner(registry, good)->license, "");
    struct sluice_registry_plugin found;
    sluice_registry_plugin(registry, 0, &found);
    assert_null(found.refusal);
    assert_non_null(strstr(found.path, "/good.so"));
    assert_string_equal(found.plugin->version, "1.2.3");
    sluice_registry_plugin(registry, 99, &found);
    assert_null(found.path);
    assert_null(sluice_registry_component(registry, 99));
    struct sluice_component_lookup lookup = sluice_registry_lookup(registry);
    const char *names[1] = {NULL};
    assert_int_equal(lookup.names(lookup.ctx, SLUICE_SOURCE, names, 1), 2);
    assert_string_equal(names[0], "good");
    assert_ptr_equal(lookup.find(lookup.ctx, SLUICE_SOURCE, "good"), good);
    sluice_registry_destroy(registry);
    temp_folder_remove(folder);
}

static void old_small_tables_are_filled(void **state)
{
    (void)state;
    char *folder = temp_folder_make();
    (void)module_copy(folder, "old_small", "old_small.so");
    struct sluice_registry *registry = load(folder);
    const struct sluice_component *old = sluice_registry_find(registry, SLUICE_SOURCE, "old_small");
    assert_non_null(old);
    assert_int_equal(old->source->struct_size, sizeof(struct sluice_source_api));
    struct sluice_bytes none = {NULL, 0};
    assert_int_equal(old->source->reader_idle(NULL, NULL), SLUICE_OK);
    assert_int_equal(old->source->reader_ack(NULL, none, NULL), SLUICE_OK);
    assert_int_equal(old->source->shard_done(NULL, "s", NULL), SLUICE_OK);
    assert_int_equal(old->source->retire(NULL, NULL, NULL, NULL, NULL), SLUICE_E_UNSUPPORTED);
    assert_int_equal(old->source->reader_next(NULL, 0, NULL, NULL), SLUICE_END);
    sluice_registry_destroy(registry);
    temp_folder_remove(folder);
}

static void bad_modules_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *module;
        const char *words;
    } cases[] = {
        {"wrong_magic", "0x12345678"},
        {"wrong_major", "it wants ABI major 7, this engine offers 0"},
        {"newer_minor_min", "it wants at least ABI 0.999, this engine offers 0.4"},
        {"wrong_envelope", "change envelope version 9, this engine 1"},
        {"missing_slot", "lacks the function reader_next"},
        {"twice", "offers the source twice twice"},
        {"null_descriptor", "gives no descriptor"},
        {"no_symbol", "does not export sluice_plugin_entry_v0"},
        {"undefined_symbol", "sluice_test_symbol_that_is_nowhere"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *folder = temp_folder_make();
        (void)module_copy(folder, cases[i].module, "bad.so");
        expect_refusal(folder, cases[i].words);
        temp_folder_remove(folder);
    }
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    char *folder = temp_folder_make();
    (void)module_copy(folder, "good", "a.so");
    (void)module_copy(folder, "twin", "b.so");
    struct sluice_registry *registry = load(folder);
    struct sluice_registry_plugin found;
    assert_int_equal(sluice_registry_component_count(registry), 1);
    sluice_registry_plugin(registry, 1, &found);
    assert_null(found.plugin);
    assert_non_null(strstr(found.refusal, "the source good, which "));
    assert_non_null(strstr(found.refusal, "/a.so already offers"));
    sluice_registry_destroy(registry);
    /* The first folder wins. */
    char *other = temp_folder_make();
    (void)module_copy(other, "twin", "twin.so");
    const char *folders[] = {other, folder};
    struct sluice_error err = SLUICE_ERROR_INIT;
    assert_int_equal(sluice_registry_create(folders, 2, &registry, &err), SLUICE_OK);
    const struct sluice_component *good = sluice_registry_find(registry, SLUICE_SOURCE, "good");
    assert_string_equal(sluice_registry_owner(registry, good)->name, "twin");
    sluice_registry_destroy(registry);
    temp_folder_remove(folder);
    temp_folder_remove(other);
}

static size_t module_read(const char *module, char *out, size_t cap)
{
    char path[1024];
    (void)snprintf(path, sizeof path, "%s/%s.so", MODULE_DIR, module);
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    size_t size = fread(out, 1, cap, in);
    (void)fclose(in);
    assert_true(size > sizeof(Elf64_Ehdr) && size < cap);
    return size;
}

static void damaged_files_are_refused(void **state)
{
    (void)state;
    static char data[4u << 20];
    static char changed[sizeof data];
    size_t size = module_read("good", data, sizeof data);
    static const struct {
        const char *words;
        size_t keep; /* bytes; 0 = all */
    } cuts[] = {
        {"within its header", 20}, {"is cut off: it has 64 bytes", 64}, {"is cut off", 1000}};
    char *folder = NULL;
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        folder = temp_folder_make();
        file_write(folder, "bad.so", data, cuts[i].keep);
        expect_refusal(folder, cuts[i].words);
        temp_folder_remove(folder);
    }
    /* Any cut at all is seen before the dynamic linker maps what is not there. */
    for (size_t keep = 1; keep + sizeof(Elf64_Ehdr) < size; keep += size / 23) {
        folder = temp_folder_make();
        file_write(folder, "bad.so", data, size - keep);
        expect_refusal(folder, "cut off");
        temp_folder_remove(folder);
    }
    folder = temp_folder_make();
    file_write(folder, "bad.so", "#!/bin/sh\necho no plugin\n", 25);
    expect_refusal(folder, "no ELF header");
    file_write(folder, "bad.so", "", 0);
    expect_refusal(folder, "is empty");
    static const struct {
        const char *words;
        size_t offset;
        char value;
    } patches[] = {
        {"built for s390x (machine 22)", offsetof(Elf64_Ehdr, e_machine), EM_S390},
        {"another word size or byte order", EI_CLASS, ELFCLASS32},
        {"no shared object (type 2)", offsetof(Elf64_Ehdr, e_type), ET_EXEC},
        {"no program headers", offsetof(Elf64_Ehdr, e_phnum), 0},
        {"no program headers", offsetof(Elf64_Ehdr, e_phentsize), 7},
        {"is cut off", offsetof(Elf64_Ehdr, e_phoff) + 6, 0x7f},
    };
    for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++) {
        memcpy(changed, data, size);
        changed[patches[i].offset] = patches[i].value;
        if (patches[i].offset == offsetof(Elf64_Ehdr, e_machine)) {
            changed[patches[i].offset + 1] = 0;
        }
        file_write(folder, "bad.so", changed, size);
        expect_refusal(folder, patches[i].words);
    }
    temp_folder_remove(folder);
}

static void foreign_hands_are_refused(void **state)
{
    (void)state;
    char *folder = temp_folder_make();
    const char *path = module_copy(folder, "second", "bad.so");
    assert_int_equal(chmod(path, 0666), 0);
    expect_refusal(folder, "can be changed by every user");
    (void)module_copy(folder, "second", "bad.so");
    if (geteuid() == 0) {
        path = module_copy(folder, "second", "bad.so");
        /* The owner's private group may write: systems with umask 002 make such files. */
        assert_int_equal(chown(path, 0, 0), 0);
        assert_int_equal(chmod(path, 0664), 0);
        struct sluice_registry *registry = load(folder);
        assert_non_null(sluice_registry_find(registry, SLUICE_SOURCE, "second"));
        sluice_registry_destroy(registry);
        path = module_copy(folder, "second", "bad.so");
        assert_int_equal(chown(path, 0, 65534), 0);
        assert_int_equal(chmod(path, 0664), 0);
        expect_refusal(folder, "can be changed by group 65534");
        path = module_copy(folder, "second", "bad.so");
        assert_int_equal(chown(path, 65534, 0), 0);
        assert_int_equal(chmod(path, 0644), 0);
        expect_refusal(folder, "belongs to user 65534");
    }
    temp_folder_remove(folder);
}

static void not_files_are_refused(void **state)
{
    (void)state;
    char path[1024];
    char *folder = temp_folder_make();
    (void)snprintf(path, sizeof path, "%s/bad.so", folder);
    assert_int_equal(mkdir(path, 0755), 0);
    expect_refusal(folder, "not a regular file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(mkfifo(path, 0644), 0);
    expect_refusal(folder, "not a regular file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("nowhere", path), 0);
    expect_refusal(folder, "cannot resolve");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(MODULE_DIR "/second.so", path), 0);
    expect_refusal(folder, "leads out of its plugin folder");
    assert_int_equal(unlink(path), 0);
    /* Within the folder a link is fine: libraries are often versioned so. */
    (void)module_copy(folder, "second", "second.so.1");
    assert_int_equal(symlink("second.so.1", path), 0);
    struct sluice_registry *registry = load(folder);
    assert_non_null(sluice_registry_find(registry, SLUICE_SOURCE, "second"));
    sluice_registry_destroy(registry);
    temp_folder_remove(folder);
}

static void folders_are_checked(void **state)
{
    (void)state;
    struct sluice_registry *registry = NULL;
    struct sluice_error err = SLUICE_ERROR_INIT;
    const char *missing = "/nonexistent/plugins";
    assert_int_equal(sluice_registry_create(&missing, 1, &registry, &err), SLUICE_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "--plugin-dir"));
    char *folder = temp_folder_make();
    const char *file = module_copy(folder, "good", "good.so");
    assert_int_equal(sluice_registry_create(&file, 1, &registry, &err), SLUICE_E_NOT_FOUND);
    const char *given = folder;
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(sluice_registry_create(&given, 1, &registry, &err), SLUICE_E_PERMISSION);
    assert_non_null(strstr(err.message, "chmod o-w"));
    assert_int_equal(chmod(folder, 0700), 0);
    /* A parent that others can change is as bad. */
    char inner[1024];
    (void)snprintf(inner, sizeof inner, "%s/inner", folder);
    assert_int_equal(mkdir(inner, 0755), 0);
    given = inner;
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(sluice_registry_create(&given, 1, &registry, &err), SLUICE_E_PERMISSION);
    assert_int_equal(chmod(folder, 01777), 0); /* sticky, ours: like /tmp */
    assert_int_equal(sluice_registry_create(&given, 1, &registry, &err), SLUICE_OK);
    assert_int_equal(sluice_registry_plugin_count(registry), 0);
    sluice_registry_destroy(registry);
    assert_int_equal(sluice_registry_create(NULL, 0, &registry, &err), SLUICE_OK);
    sluice_registry_destroy(registry);
    sluice_registry_destroy(NULL);
    temp_folder_remove(folder);
}

static void default_folder_is_beside_the_binary(void **state)
{
    (void)state;
    char *folder = sluice_registry_default_folder();
    assert_non_null(folder);
    assert_non_null(strstr(folder, "/lib"));
    assert_non_null(strstr(folder, "/sluice/plugins"));
    sluice_free(folder);
}

/* Every allocation of a load fails in turn: an error or a whole registry, never a leak. */
static void survives_failures(void **state)
{
    (void)state;
    char *folder = temp_folder_make();
    const char *given = folder;
    int done = 0;
    (void)module_copy(folder, "good", "good.so");
    file_write(folder, "bad.so", "text", 4);
    (void)module_copy(folder, "twin", "twin.so");
    for (long n = 1; n < 500 && !done; n++) {
        struct sluice_registry *registry = NULL;
        struct sluice_error err = SLUICE_ERROR_INIT;
        sluice_alloc_fail_at(n, 0);
        sluice_status status = sluice_registry_create(&given, 1, &registry, &err);
        sluice_alloc_fail_at(0, 0);
        if (status == SLUICE_OK) {
            assert_int_equal(sluice_registry_plugin_count(registry), 3);
            assert_int_equal(sluice_registry_component_count(registry), 1);
            sluice_registry_destroy(registry);
            done = n > 10;
        }
        else {
            assert_int_equal(status, SLUICE_E_NOMEM);
        }
    }
    assert_true(done);
    temp_folder_remove(folder);
}

static int set_up(void **state)
{
    (void)state;
    sluice_log_setup(0, SLUICE_LOG_FORMAT_TEXT, 0); /* refusals are expected: quiet */
    return 0;
}

int run_file_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_is_loaded),
        cmocka_unit_test(old_small_tables_are_filled),
        cmocka_unit_test(bad_modules_are_refused),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(damaged_files_are_refused),
        cmocka_unit_test(foreign_hands_are_refused),
        cmocka_unit_test(not_files_are_refused),
        cmocka_unit_test(folders_are_checked),
        cmocka_unit_test(default_folder_is_beside_the_binary),
        cmocka_unit_test(survives_failures),
    };
    return cmocka_run_group_tests_name("file", tests, set_up, NULL);
}
