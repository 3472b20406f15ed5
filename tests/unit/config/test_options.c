/* Option tables against mappings: values, defaults, findings, secrets. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "log/log.h"
#include "sluice/option.h"

/* Checks `yaml` as the options of a component; findings must be those expected. */
static struct sluice_config *check(const struct sluice_component *component, const char *yaml,
                                   const char *expected)
{
    struct sluice_diags diags;
    sluice_diags_init(&diags, "p.yaml");
    struct sluice_yaml *root = yaml != NULL ? sluice_yaml_parse(yaml, strlen(yaml), &diags) : NULL;
    sluice_yaml_expand(root, &diags);
    struct sluice_config *config = sluice_config_check(component->options, root, "c", &diags);
    char *text = findings_text(&diags);
    if (strcmp(text, expected) != 0) {
        print_error("--- yaml\n%s\n--- expected\n%s--- found\n%s", yaml, expected, text);
    }
    assert_string_equal(text, expected);
    assert_non_null(config);
    sluice_free(text);
    sluice_yaml_free(root);
    sluice_diags_free(&diags);
    return config;
}

static void check_only(const struct sluice_component *component, const char *yaml,
                       const char *expected)
{
    sluice_config_free(check(component, yaml, expected));
}

static struct sluice_value get(const struct sluice_config *config, const char *key)
{
    struct sluice_value value;
    memset(&value, 0x55, sizeof value);
    value.struct_size = (uint32_t)sizeof value;
    assert_int_equal(sluice_config_get(config, key, &value), SLUICE_OK);
    return value;
}

static void defaults(void **state)
{
    (void)state;
    static const char *const empty[] = {NULL, "{}", "~"};
    for (size_t i = 0; i < 3; i++) {
        struct sluice_config *config = check(&fake_all_types, empty[i], "");
        assert_int_equal(get(config, "text").is_set, 0);
        assert_null(get(config, "text").string);
        assert_int_equal(get(config, "int").number, 7);
        assert_int_equal(get(config, "int").is_set, 1);
        assert_int_equal(get(config, "bool").number, 0);
        assert_int_equal(get(config, "wait").number, 10000000);
        assert_int_equal(get(config, "size").number, 67108864);
        assert_int_equal(get(config, "switch").number, 0);
        assert_string_equal(get(config, "switch").string, "auto");
        struct sluice_value list = get(config, "list");
        assert_int_equal(list.count, 2);
        assert_string_equal(list.items[1], "b c");
        struct sluice_value map = get(config, "map");
        assert_int_equal(map.count, 2);
        assert_string_equal(map.pairs[1].key, "x");
        assert_string_equal(map.pairs[1].value, "y");
        assert_int_equal(get(config, "headers").is_set, 0);
        struct sluice_value none = {.struct_size = (uint32_t)sizeof none};
        assert_int_equal(sluice_config_get(config, "nothing", &none), SLUICE_E_NOT_FOUND);
        sluice_config_free(config);
    }
}

static void values(void **state)
{
    (void)state;
    struct sluice_config *config = check(
        &fake_all_types,
        "text: 007\nint: -5\nbool: Yes\nwait: 1m30s\nsize: 3\nswitch: off\nlist: [1, no, '']\n"
        "map: {b: 2, a: ''}\nheaders: {x: yyyy}\n",
        "");
    assert_string_equal(get(config, "text").string, "007");
    assert_int_equal(get(config, "text").string_size, 3);
    assert_int_equal(get(config, "text").type, SLUICE_OPTION_STRING);
    assert_int_equal(get(config, "int").number, -5);
    assert_int_equal(get(config, "bool").number, 1);
    assert_int_equal(get(config, "wait").number, 90000000);
    assert_int_equal(get(config, "size").number, 3);
    assert_int_equal(get(config, "switch").number, 2);
    assert_string_equal(get(config, "switch").string, "off");
    assert_int_equal(get(config, "list").count, 3);
    assert_string_equal(get(config, "list").items[1], "no");
    assert_string_equal(get(config, "list").items[2], "");
    assert_string_equal(get(config, "map").pairs[0].key, "b");
    assert_string_equal(get(config, "map").pairs[1].value, "");
    sluice_config_free(config);

    /* null stands for the default; one text for a list of one; an empty list is a list. */
    config = check(&fake_all_types, "int:\nsize: null\nlist: solo\nmap: {}\n", "");
    assert_int_equal(get(config, "int").number, 7);
    assert_int_equal(get(config, "size").number, 67108864);
    assert_int_equal(get(config, "list").count, 1);
    assert_string_equal(get(config, "list").items[0], "solo");
    assert_int_equal(get(config, "map").count, 0);
    assert_int_equal(get(config, "map").is_set, 1);
    sluice_config_free(config);
    config = check(&fake_all_types, "list: []\ntext: ''\n", "");
    assert_int_equal(get(config, "list").count, 0);
    assert_int_equal(get(config, "list").is_set, 1);
    assert_int_equal(get(config, "text").is_set, 1);
    sluice_config_free(config);
}

/* A plugin of an older minor passes a shorter struct: nothing beyond it is written. */
static void shorter_value(void **state)
{
    struct sluice_value value;
    (void)state;
    struct sluice_config *config = check(&fake_all_types, "text: abc\n", "");
    memset(&value, 0x55, sizeof value);
    value.struct_size = (uint32_t)offsetof(struct sluice_value, string);
    assert_int_equal(sluice_config_get(config, "int", &value), SLUICE_OK);
    assert_int_equal(value.number, 7);
    assert_int_equal(value.struct_size, offsetof(struct sluice_value, string));
    assert_int_equal(*(const unsigned char *)&value.string, 0x55);
    sluice_config_free(config);
}

static void wrong_types(void **state)
{
    (void)state;
    check_only(&fake_all_types, "text: [a]\n", "1:7 error c.text: text wants text, not a list\n");
    check_only(&fake_all_types, "text: {a: b}\n",
               "1:7 error c.text: text wants text, not a mapping\n");
    check_only(&fake_all_types, "int: x\n",
               "1:6 error c.int: int wants a whole number, not \"x\"\n");
    check_only(&fake_all_types, "int: 1.5\n",
               "1:6 error c.int: int wants a whole number, not \"1.5\"\n");
    check_only(&fake_all_types, "int: '5'\n",
               "1:6 error c.int: int wants a whole number, not \"5\" | leave the quotes out\n");
    check_only(
        &fake_all_types, "int: 99999999999999999999\n",
        "1:6 error c.int: int wants a whole number, not \"99999999999999999999\" | the number"
        " is too large\n");
    check_only(&fake_all_types, "bool: maybe\n",
               "1:7 error c.bool: bool wants true or false, not \"maybe\"\n");
    check_only(&fake_all_types, "bool: \"true\"\n",
               "1:7 error c.bool: bool wants true or false, not \"true\" | leave the quotes out\n");
    check_only(&fake_all_types, "wait: 10\n",
               "1:7 error c.wait: wait wants a duration like 200ms, 10s, 5m or 1h, not \"10\" | the"
               " unit is missing: us ms s m h d\n");
    check_only(
        &fake_all_types, "size: 64M\n",
        "1:7 error c.size: size wants a size like 64MiB, 8MB or 512, not \"64M\" | units: B KB"
        " MB GB TB KiB MiB GiB TiB\n");
    check_only(
        &fake_all_types, "switch: onn\n",
        "1:9 error c.switch: switch wants auto, on or off, not \"onn\" | did you mean on?\n");
    check_only(&fake_all_types, "switch: AUTO\n",
               "1:9 error c.switch: switch wants auto, on or off, not \"AUTO\" | did you mean"
               " auto?\n");
    check_only(&fake_all_types, "switch: sideways\n",
               "1:9 error c.switch: switch wants auto, on or off, not \"sideways\"\n");
    check_only(&fake_all_types, "list: {a: b}\n",
               "1:7 error c.list: list wants a list, not a mapping\n");
    check_only(&fake_all_types, "list: [a, [b], {c: d}, ~]\n",
               "1:11 error c.list[1]: list wants text here, not a list\n"
               "1:16 error c.list[2]: list wants text here, not a mapping\n"
               "1:24 error c.list[3]: list wants text here, not nothing | write \"\" for empty"
               " text\n");
    check_only(&fake_all_types, "map: a\n", "1:6 error c.map: map wants a mapping, not \"a\"\n");
    check_only(&fake_all_types, "map: {a: [1], b.c: }\n",
               "1:10 error c.map.a: map wants text here, not a list\n"
               "1:20 error c.map[\"b.c\"]: map wants text here, not nothing | write \"\" for empty"
               " text\n");
    check_only(&fake_all_types, "[a]", "1:1 error c: wants a mapping, not a list\n");
    check_only(&fake_all_types, "hello", "1:1 error c: wants a mapping, not text\n");
}

static void ranges(void **state)
{
    (void)state;
    check_only(&fake_all_types, "wait: 100ms\n",
               "1:7 error c.wait: wait must be between 200ms and 1h, not 100ms\n");
    check_only(&fake_all_types, "wait: 2h\n",
               "1:7 error c.wait: wait must be between 200ms and 1h, not 2h\n");
    check_only(&fake_all_types, "wait: 1h\n", "");
    check_only(&fake_pg, "database: d\nuser: u\nport: 0\n",
               "3:7 error c.port: port must be between 1 and 65535, not 0\n");
    check_only(&fake_pg, "database: d\nuser: u\nport: 65535\n", "");
    check_only(&fake_s3, "bucket: b\npart_size: 5MB\n",
               "2:12 error c.part_size: part_size must be between 5MiB and 5GiB, not 5MB\n");
}

static void required_and_unknown(void **state)
{
    (void)state;
    check_only(&fake_pg, "host: h\n",
               "1:1 error c.database: database is required | for example database: hr\n"
               "1:1 error c.user: user is required\n");
    check_only(&fake_pg, "database:\nuser: ''\n",
               "1:10 error c.database: database must not be empty | for example database: hr\n"
               "2:7 error c.user: user must not be empty\n");
    check_only(&fake_mask, "columns: []\n", "1:10 error c.columns: columns must not be empty\n");
    check_only(&fake_pg, NULL,
               "0:0 error c.database: database is required | for example database: hr\n"
               "0:0 error c.user: user is required\n");
    check_only(&fake_pg, "database: d\nuser: u\nhots: h\n",
               "3:1 error c.hots: unknown key \"hots\" | did you mean host?\n");
    check_only(
        &fake_s3, "bucket: b\nregional: x\n",
        "2:1 error c.regional: unknown key \"regional\" | known here: bucket, prefix, format,"
        " part_size\n");
    check_only(&fake_null, "a: b\n",
               "1:1 error c.a: unknown key \"a\" | there are no options here\n");
    check_only(&fake_s3, "bucket: b\nacl: private\n",
               "2:6 warning c.acl: acl is deprecated | Use grants instead.\n");
}

/* A secret's value, and whatever came out of a variable, stands in no message. */
static void messages_hide_secrets(void **state)
{
    (void)state;
    setenv("SLUICE_T_V", "hunter2x", 1);
    setenv("SLUICE_T_N", "99999", 1);
    check_only(&fake_pg, "database: d\nuser: u\npin: hunter2x\n",
               "3:6 error c.pin: pin wants a whole number\n");
    check_only(&fake_pg, "database: d\nuser: u\npin: 123456\n",
               "3:6 error c.pin: pin must be between 1 and 9999\n");
    check_only(&fake_pg, "database: d\nuser: u\npassword: [hunter2x]\n",
               "3:11 error c.password: password wants text, not a list\n");
    check_only(&fake_pg, "database: d\nuser: u\nport: ${env:SLUICE_T_V}\n",
               "3:7 error c.port: port wants a whole number\n");
    check_only(&fake_pg, "database: d\nuser: u\nport: ${env:SLUICE_T_N}\n",
               "3:7 error c.port: port must be between 1 and 65535\n");
    check_only(&fake_pg, "database: d\nuser: u\nsslmode: ${env:SLUICE_T_V}\n",
               "3:10 error c.sslmode: sslmode wants disable, require or verify-full\n");
    /* One finding is enough for a value that could not be read. */
    check_only(&fake_pg, "database: d\nuser: u\nport: ${env:SLUICE_T_NONE}\n",
               "3:7 error port: environment variable SLUICE_T_NONE is not set | set it, or give a"
               " default: ${env:NAME:-default}\n");
    check_only(
        &fake_pg, "database: ${env:SLUICE_T_NONE}\nuser: u\n",
        "1:11 error database: environment variable SLUICE_T_NONE is not set | set it, or give"
        " a default: ${env:NAME:-default}\n");
}

/* In { } a variable must be quoted: it may still be a number. */
static void quoted_variables(void **state)
{
    (void)state;
    setenv("SLUICE_T_PORT", "6543", 1);
    struct sluice_config *config =
        check(&fake_pg, "{database: d, user: u, port: \"${env:SLUICE_T_PORT}\"}", "");
    assert_int_equal(get(config, "port").number, 6543);
    sluice_config_free(config);
}

static void expect_redacted(const char *secret, int hidden)
{
    char line[64];
    (void)snprintf(line, sizeof line, "say %s loud", secret);
    sluice_log_redact(line);
    assert_int_equal(strstr(line, secret) == NULL, hidden);
}

static void secrets_are_registered(void **state)
{
    (void)state;
    sluice_log_secrets_clear();
    setenv("SLUICE_T_PW", "env-secret", 1);
    setenv("SLUICE_T_HOST", "db.example.org", 1);
    check_only(&fake_pg,
               "database: plainname\nuser: u\npassword: p4ss-${env:SLUICE_T_PW}\nhost:"
               " ${env:SLUICE_T_HOST}\n",
               "");
    check_only(&fake_all_types,
               "headers: {authorization: bearer-1, x-key: \"k-${env:SLUICE_T_PW:-z}\"}\n", "");
    expect_redacted("p4ss-env-secret", 1);
    expect_redacted("env-secret", 1);
    expect_redacted("bearer-1", 1);
    expect_redacted("plainname", 0);
    /* Only what lands in a secret option is one. */
    expect_redacted("db.example.org", 0);
    sluice_log_secrets_clear();
    /* Also when the value is refused. */
    check_only(&fake_pg, "database: d\nuser: u\npin: not-a-pin\n",
               "3:6 error c.pin: pin wants a whole number\n");
    check_only(&fake_pg, "database: d\nuser: u\npassword: [listed-pw]\n",
               "3:11 error c.password: password wants text, not a list\n");
    expect_redacted("not-a-pin", 1);
    expect_redacted("listed-pw", 1);
    sluice_log_secrets_clear();
}

static void visit(void *ctx, const char *key, const char *text, int is_default)
{
    sluice_str_printf((struct sluice_str *)ctx, "%s=%s%s\n", key, text, is_default ? " *" : "");
}

static void each(void **state)
{
    struct sluice_str out = SLUICE_STR_INIT;
    (void)state;
    struct sluice_config *config =
        check(&fake_all_types, "text: t\nwait: 1m\nlist: [p, q]\nheaders: {a: bbbb}\n", "");
    sluice_config_each(config, visit, &out);
    assert_string_equal(out.data,
                        "text=t\nint=7 *\nbool=no *\nwait=1m\nsize=64MiB *\nswitch=auto *\n"
                        "list=[p, q]\nmap={k: v, x: y} *\nheaders=***\n");
    sluice_config_free(config);
    sluice_str_free(&out);
    sluice_log_secrets_clear();
}

/* Under any key: proxies and endpoints are often written with their password. */
static void passwords_in_addresses(void **state)
{
    static const struct {
        const char *text;
        const char *shown;
    } cases[] = {
        {"http://user:p%40ss%2fword@proxy:3128/x", "http://user:***@proxy:3128/x"},
        {"http://user:a@b/c?d#e@proxy:3128", "http://user:***@proxy:3128"},
        {"http://:only@proxy", "http://:***@proxy"},
        {"http://user@proxy:3128", "http://user@proxy:3128"},
        {"http://user:@proxy", "http://user:@proxy"},
        {"http://proxy:3128/a:b@c", "http://proxy:***@c"}, /* rather too much than too little */
        {"http://proxy/a:b@c", "http://proxy/a:b@c"},
        {"user:password@host", "user:password@host"},
        {"://", "://"},
        {"x://:@", "x://:@"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sluice_str out = SLUICE_STR_INIT;
        sluice_url_append_shown(&out, cases[i].text);
        assert_string_equal(sluice_str_text(&out), cases[i].shown);
        sluice_str_free(&out);
    }
    struct sluice_str out = SLUICE_STR_INIT;
    struct sluice_config *config = check(&fake_all_types,
                                         "text: http://u:first%2Fone@h\n"
                                         "list: [a, \"ftp://u:second-one@h\"]\n"
                                         "map: {k: \"x://u:third-one@h\"}\n",
                                         "");
    sluice_config_each(config, visit, &out);
    assert_null(strstr(out.data, "one"));
    assert_non_null(strstr(out.data, "text=http://u:***@h\n"));
    assert_non_null(strstr(out.data, "list=[a, ftp://u:***@h]\n"));
    assert_non_null(strstr(out.data, "map={k: x://u:***@h}\n"));
    expect_redacted("first%2Fone", 1);
    expect_redacted("first/one", 1);
    expect_redacted("second-one", 1);
    expect_redacted("third-one", 1);
    expect_redacted("http", 0);
    sluice_config_free(config);
    sluice_str_free(&out);
    sluice_log_secrets_clear();
}

static void from_pairs(void **state)
{
    static const struct sluice_pair pairs[] = {{"text", "a: b # c"}, {"int", "5"},
                                               {"list", "[x, y]"},   {"map", "{k: w}"},
                                               {"switch", "on"},     {"bool", ""}};
    static const struct sluice_pair wrong[] = {{"int", "x"}, {"nope", "1"}, {"list", "[x"}};
    struct sluice_diags diags;
    (void)state;
    sluice_diags_init(&diags, NULL);
    struct sluice_config *config =
        sluice_config_from_pairs(fake_all_types.options, pairs, 6, &diags);
    assert_int_equal(diags.count, 0);
    assert_string_equal(get(config, "text").string, "a: b # c");
    assert_int_equal(get(config, "int").number, 5);
    assert_int_equal(get(config, "list").count, 2);
    assert_string_equal(get(config, "map").pairs[0].value, "w");
    assert_int_equal(get(config, "switch").number, 1);
    sluice_config_free(config);
    config = sluice_config_from_pairs(fake_all_types.options, wrong, 3, &diags);
    char *text = findings_text(&diags);
    assert_string_equal(
        text, "0:0 error list: the value is not valid: the [ that begins here is not closed"
              " properly | check for a missing ] or , and quote values with { } [ ] or ,\n"
              "0:0 error nope: unknown key \"nope\" | known here: text, int, bool, wait,"
              " size, switch, list, map, headers\n"
              "0:0 error int: int wants a whole number, not \"x\"\n");
    sluice_free(text);
    sluice_config_free(config);
    sluice_diags_free(&diags);
}

/* A default that the table's own rules refuse is the plugin's bug: said, not swallowed. */
static void wrong_default(void **state)
{
    static const struct sluice_option bad =
        SLUICE_OPT(SLUICE_OPTION_INT, "count", "many", 0, "Broken.");
    static const struct sluice_option *const options[] = {&bad, NULL};
    const struct sluice_component component = {.options = options};
    (void)state;
    check_only(&component, "{}", "0:0 error c: count wants a whole number, not \"many\"\n");
}

const struct CMUnitTest option_tests[] = {
    cmocka_unit_test(defaults),
    cmocka_unit_test(values),
    cmocka_unit_test(shorter_value),
    cmocka_unit_test(wrong_types),
    cmocka_unit_test(ranges),
    cmocka_unit_test(required_and_unknown),
    cmocka_unit_test(messages_hide_secrets),
    cmocka_unit_test(quoted_variables),
    cmocka_unit_test(secrets_are_registered),
    cmocka_unit_test(each),
    cmocka_unit_test(passwords_in_addresses),
    cmocka_unit_test(from_pairs),
    cmocka_unit_test(wrong_default),
};
const size_t option_tests_count = sizeof option_tests / sizeof option_tests[0];
