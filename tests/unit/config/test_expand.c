/* ${…} in values. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "log/log.h"

/* Expands one value; returns its text (to be freed), and the findings. */
static char *expand(const char *file, const char *value, char **findings, struct sluice_yaml *copy)
{
    struct sluice_diags diags;
    struct sluice_str yaml = SLUICE_STR_INIT;
    sluice_diags_init(&diags, file);
    sluice_str_printf(&yaml, "a: [\"%s\"]", value);
    struct sluice_yaml *root = sluice_yaml_parse(yaml.data, yaml.size, &diags);
    assert_non_null(root);
    sluice_yaml_expand(root, &diags);
    const struct sluice_yaml *node = sluice_yaml_get(root, "a")->items[0];
    char *text = sluice_alloc_string(node->text);
    *findings = findings_text(&diags);
    if (copy != NULL) {
        *copy = *node;
    }
    sluice_yaml_free(root);
    sluice_str_free(&yaml);
    sluice_diags_free(&diags);
    return text;
}

static void expect(const char *value, const char *text, const char *findings, int secret)
{
    char *found = NULL;
    struct sluice_yaml node;
    char *out = expand("p.yaml", value, &found, &node);
    if (strcmp(found, findings) != 0) {
        print_error("%s: %s", value, found);
    }
    assert_string_equal(found, findings);
    if (text != NULL) {
        assert_string_equal(out, text);
        assert_int_equal(node.secret, secret);
    }
    assert_int_equal(node.broken, findings[0] != '\0');
    sluice_free(found);
    sluice_free(out);
}

static void environment(void **state)
{
    (void)state;
    setenv("SLUICE_T_A", "alpha", 1);
    setenv("SLUICE_T_EMPTY", "", 1);
    setenv("SLUICE_T_BAD", "x\xff", 1);
    setenv("SLUICE_T_NEST", "${env:SLUICE_T_A}", 1);
    unsetenv("SLUICE_T_NONE");
    expect("${env:SLUICE_T_A}", "alpha", "", 1);
    expect("x${env:SLUICE_T_A}y${env:SLUICE_T_A}", "xalphayalpha", "", 1);
    expect("${env:SLUICE_T_EMPTY}", "", "", 1);
    expect("${env:SLUICE_T_EMPTY:-b}", "b", "", 1);
    expect("${env:SLUICE_T_NONE:-b:-c}", "b:-c", "", 1);
    expect("${env:SLUICE_T_NONE:-}", "", "", 1);
    expect("${env:SLUICE_T_A:-b}", "alpha", "", 1);
    /* What came in is not looked at again. */
    expect("${env:SLUICE_T_NEST}", "${env:SLUICE_T_A}", "", 1);
    expect("plain $ {x} $x $", "plain $ {x} $x $", "", 0);
    expect("$${env:X}", "${env:X}", "", 0);
    expect("a$${b}$$${env:SLUICE_T_A}", "a${b}$${env:SLUICE_T_A}", "", 0);
    expect("$$", "$$", "", 0);
    expect(
        "${env:SLUICE_T_NONE}", NULL,
        "1:5 error a[0]: environment variable SLUICE_T_NONE is not set | set it, or give a default:"
        " ${env:NAME:-default}\n",
        0);
    expect("${env:SLUICE_T_BAD}", NULL,
           "1:5 error a[0]: environment variable SLUICE_T_BAD is not valid UTF-8\n", 0);
    expect(
        "${env:}", NULL,
        "1:5 error a[0]: ${env:…} needs the name of a variable | names are letters, digits and _\n",
        0);
    expect(
        "${env:A B}", NULL,
        "1:5 error a[0]: ${env:…} needs the name of a variable | names are letters, digits and _\n",
        0);
    expect(
        "${env:1A}", NULL,
        "1:5 error a[0]: ${env:…} needs the name of a variable | names are letters, digits and _\n",
        0);
}

#define FORMS " | ${env:NAME}, ${env:NAME:-default}, ${file:/path}; a literal ${ is written $${\n"

static void unknown_forms(void **state)
{
    (void)state;
    expect("${X}", NULL, "1:5 error a[0]: unknown variable form ${…}" FORMS, 0);
    expect("${}", NULL, "1:5 error a[0]: unknown variable form ${…}" FORMS, 0);
    expect("${secret:a.b}", NULL, "1:5 error a[0]: unknown variable form ${secret:…}" FORMS, 0);
    expect("${ENV:X}", NULL, "1:5 error a[0]: unknown variable form ${…}" FORMS, 0);
    expect("${env:X", NULL, "1:5 error a[0]: ${ without its }" FORMS, 0);
    expect("${env:X:-${env:Y}}", NULL,
           "1:5 error a[0]: ${…} cannot stand inside another ${…}" FORMS, 0);
    expect("${file:}", NULL, "1:5 error a[0]: ${file:…} needs the path of a file" FORMS, 0);
}

/* A file in a folder of its own. */
struct place {
    char folder[64];
    char file[96];
};

static void make_file(struct place *place, const char *data, size_t size, unsigned mode)
{
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/sluice-test-expand-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    (void)snprintf(place->file, sizeof place->file, "%s/pw", place->folder);
    FILE *f = fopen(place->file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(place->file, mode), 0);
}

static void drop_file(const struct place *place)
{
    unlink(place->file);
    rmdir(place->folder);
}

static void expect_file(const char *data, size_t size, unsigned mode, const char *text,
                        const char *message)
{
    struct place place;
    struct sluice_str value = SLUICE_STR_INIT;
    struct sluice_str expected = SLUICE_STR_INIT;
    char *found = NULL;
    make_file(&place, data, size, mode);
    sluice_str_printf(&value, "${file:%s}", place.file);
    if (message != NULL) {
        sluice_str_printf(&expected, "1:5 error a[0]: \"%s\" %s", place.file, message);
        if (mode != 0600) {
            sluice_str_printf(&expected, " | chmod 600 '%s'", place.file);
        }
        sluice_str_append(&expected, "\n");
    }
    char *out = expand("p.yaml", value.data, &found, NULL);
    assert_string_equal(found, sluice_str_text(&expected));
    if (text != NULL) {
        assert_string_equal(out, text);
    }
    sluice_free(found);
    sluice_free(out);
    sluice_str_free(&value);
    sluice_str_free(&expected);
    drop_file(&place);
}

static void files(void **state)
{
    static char large[65537];
    (void)state;
    memset(large, 'x', sizeof large);
    expect_file("secret", 6, 0600, "secret", NULL);
    expect_file("secret\n", 7, 0400, "secret", NULL);
    expect_file("secret\r\n", 8, 0600, "secret", NULL);
    expect_file("secret\n\n", 8, 0600, "secret\n", NULL);
    expect_file("a\nb\n", 4, 0600, "a\nb", NULL);
    expect_file("", 0, 0600, "", NULL);
    expect_file("\n", 1, 0600, "", NULL);
    expect_file("x", 1, 0644, NULL, "is open to other users (mode 0644)");
    expect_file("x", 1, 0640, NULL, "is open to other users (mode 0640)");
    expect_file("x", 1, 0602, NULL, "is open to other users (mode 0602)");
    expect_file(large, 65536, 0600, NULL, NULL);
    expect_file(large, 65537, 0600, NULL,
                "is larger than 64 KiB, the most that is read of a secret");
    expect_file("a\xff", 2, 0600, NULL, "is not valid UTF-8 text");
    expect_file("a\0b", 3, 0600, NULL, "is not valid UTF-8 text");
    expect("${file:/nonexistent/pw}", NULL,
           "1:5 error a[0]: cannot open \"/nonexistent/pw\": No such file or directory\n", 0);
    expect("${file:/tmp}", NULL, "1:5 error a[0]: \"/tmp\" is a folder, not a file\n", 0);
    expect("${file:/dev/null}", NULL, "1:5 error a[0]: \"/dev/null\" is not a regular file\n", 0);
}

/* A relative path is meant from the folder of the pipeline file. */
static void relative_files(void **state)
{
    struct place place;
    char pipeline[128];
    char *found = NULL;
    (void)state;
    make_file(&place, "near", 4, 0600);
    (void)snprintf(pipeline, sizeof pipeline, "%s/p.yaml", place.folder);
    char *out = expand(pipeline, "${file:pw}", &found, NULL);
    assert_string_equal(found, "");
    assert_string_equal(out, "near");
    sluice_free(out);
    sluice_free(found);
    drop_file(&place);
}

/* What a file holds never shows, whichever option it lands in. */
static void file_contents_are_secrets(void **state)
{
    struct place place;
    struct sluice_str value = SLUICE_STR_INIT;
    char *found = NULL;
    char line[] = "url postgres://u:hunter22@h/db";
    (void)state;
    sluice_log_secrets_clear();
    make_file(&place, "hunter22\n", 9, 0600);
    sluice_str_printf(&value, "postgres://u:${file:%s}@h/db", place.file);
    sluice_free(expand("p.yaml", value.data, &found, NULL));
    sluice_free(found);
    sluice_log_redact(line);
    assert_null(strstr(line, "hunter22"));
    assert_non_null(strstr(line, "***"));
    sluice_log_secrets_clear();
    sluice_str_free(&value);
    drop_file(&place);
}

/* Empty text out of a variable is text, not nothing. */
static void empty_is_not_null(void **state)
{
    struct sluice_diags diags;
    (void)state;
    setenv("SLUICE_T_EMPTY", "", 1);
    setenv("SLUICE_T_NULL", "null", 1);
    const char yaml[] = "a: ${env:SLUICE_T_EMPTY}\nb: ${env:SLUICE_T_NULL}\n";
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_yaml *root = sluice_yaml_parse(yaml, sizeof yaml - 1, &diags);
    sluice_yaml_expand(root, &diags);
    assert_int_equal(diags.count, 0);
    assert_false(sluice_yaml_is_null(sluice_yaml_get(root, "a")));
    assert_false(sluice_yaml_is_null(sluice_yaml_get(root, "b")));
    sluice_yaml_free(root);
    sluice_diags_free(&diags);
    sluice_yaml_expand(NULL, NULL);
}

const struct CMUnitTest expand_tests[] = {
    cmocka_unit_test(environment),
    cmocka_unit_test(unknown_forms),
    cmocka_unit_test(files),
    cmocka_unit_test(relative_files),
    cmocka_unit_test(file_contents_are_secrets),
    cmocka_unit_test(empty_is_not_null),
};
const size_t expand_tests_count = sizeof expand_tests / sizeof expand_tests[0];
