/* Checks of the file, the descriptor, and of any instance. */
#include <stddef.h>
#include <stdio.h>

#include "check.h"

#define INSTANCES 1000
#define SECRET_MARK "sEcReT-MaRk-7413"

static int one_symbol(struct check *c)
{
    char names[4096];
    if (c->subject->path == NULL) {
        return check_say(c, CHECK_SKIP, "linked in");
    }
    EXPECT_STATUS(c, sluice_testkit_exports(c->subject->path, names, sizeof names, &c->err),
                  SLUICE_OK);
    EXPECT(c, strcmp(names, SLUICE_PLUGIN_ENTRY "\n") == 0, "exports %.300s", names);
    return CHECK_PASS;
}

static int name_ok(const char *name)
{
    return name != NULL && name[0] >= 'a' && name[0] <= 'z' &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static int descriptor(struct check *c)
{
    const struct sluice_plugin *p = c->subject->plugin;
    const struct sluice_component *k = c->component;
    EXPECT(c, p->magic == SLUICE_PLUGIN_MAGIC, "magic is 0x%x", p->magic);
    EXPECT(c, p->struct_size >= sizeof *p, "struct_size of sluice_plugin is %u", p->struct_size);
    EXPECT(c, p->abi_major == SLUICE_ABI_MAJOR, "major is %u", p->abi_major);
    EXPECT(c, p->abi_minor_min <= p->abi_minor, "abi_minor_min is over abi_minor");
    EXPECT(c, p->envelope_version == SLUICE_ENVELOPE_VERSION, "envelope_version is %u",
           p->envelope_version);
    EXPECT(c, p->name != NULL && p->version != NULL && p->license != NULL,
           "name, version or license is missing");
    EXPECT(c, k->struct_size >= sizeof *k, "struct_size of sluice_component is %u", k->struct_size);
    EXPECT(c, name_ok(k->name), "component name is not [a-z][a-z0-9_]*");
    EXPECT(c, k->summary != NULL && strchr(k->summary, '\n') == NULL, "summary is not one line");
    EXPECT(c,
           (k->source != NULL) == (k->kind == SLUICE_SOURCE) &&
               (k->sink != NULL) == (k->kind == SLUICE_SINK) &&
               (k->transform != NULL) == (k->kind == SLUICE_TRANSFORM),
           "the table that is set does not fit the kind %d", k->kind);
    return CHECK_PASS;
}

static int slots(struct check *c)
{
    struct {
        const char *name;
        int set;
    } all[16] = {{NULL, 0}};
    int n = 0;
#define ADD(table, member) (all[n].name = #member, all[n++].set = (table)->member != NULL)
    if (c->component->kind == SLUICE_SOURCE) {
        const struct sluice_source_api *t = c->component->source;
        ADD(t, create), ADD(t, destroy), ADD(t, check), ADD(t, cancel), ADD(t, discover);
        ADD(t, open), ADD(t, shards), ADD(t, reader_open), ADD(t, reader_next);
        ADD(t, reader_close);
    }
    else if (c->component->kind == SLUICE_SINK) {
        const struct sluice_sink_api *t = c->component->sink;
        ADD(t, create), ADD(t, destroy), ADD(t, check), ADD(t, cancel), ADD(t, open);
        ADD(t, recover), ADD(t, stream_begin), ADD(t, lane_open), ADD(t, lane_write);
        ADD(t, lane_commit), ADD(t, lane_abort), ADD(t, lane_close), ADD(t, stream_end);
    }
    else {
        const struct sluice_transform_api *t = c->component->transform;
        ADD(t, create), ADD(t, destroy), ADD(t, bind), ADD(t, push), ADD(t, pull);
    }
#undef ADD
    for (int i = 0; i < n; i++) {
        EXPECT(c, all[i].set, "slot %s is NULL, but required", all[i].name);
    }
    return CHECK_PASS;
}

static int option_table(struct check *c)
{
    const struct sluice_option *const *options = c->component->options;
    for (uint32_t i = 0; options != NULL && options[i] != NULL; i++) {
        const struct sluice_option *o = options[i];
        EXPECT(c, o->struct_size >= offsetof(struct sluice_option, example),
               "option %u: struct_size is %u", i, o->struct_size);
        EXPECT(c, name_ok(o->key), "option %u: key is not lower_snake_case", i);
        EXPECT(c, o->type >= SLUICE_OPTION_STRING && o->type <= SLUICE_OPTION_MAP,
               "option %s: type %d", o->key, o->type);
        EXPECT(c, o->help != NULL && o->help[0] != '\0', "option %s: no help", o->key);
        EXPECT(c, o->type != SLUICE_OPTION_ENUM || (o->choices != NULL && o->choices[0] != NULL),
               "option %s: an ENUM without choices", o->key);
        EXPECT(c, (o->flags & SLUICE_OPTION_SECRET) == 0 || o->default_value == NULL,
               "option %s: a secret with a default", o->key);
        EXPECT(c, (o->flags & SLUICE_OPTION_REQUIRED) == 0 || o->default_value == NULL,
               "option %s: required, but has a default", o->key);
        for (uint32_t k = 0; k < i; k++) {
            EXPECT(c, strcmp(options[k]->key, o->key) != 0, "option %s: twice", o->key);
        }
    }
    /* Defaults are parsed when a host is made. */
    struct sluice_testkit_host *host = check_host(c);
    if (host == NULL) {
        return CHECK_FAIL;
    }
    sluice_testkit_host_free(host);
    return CHECK_PASS;
}

/* Makes and ends one instance of whatever kind. */
static sluice_status one_instance(struct check *c, struct sluice_testkit_host *host)
{
    const struct sluice_host *table = sluice_testkit_host_table(host);
    sluice_status st = SLUICE_OK;
    if (c->component->kind == SLUICE_SOURCE) {
        struct sluice_source *src = NULL;
        st = c->component->source->create(table, &src, &c->err);
        c->component->source->destroy(src);
    }
    else if (c->component->kind == SLUICE_SINK) {
        struct sluice_sink *sink = NULL;
        st = c->component->sink->create(table, &sink, &c->err);
        c->component->sink->destroy(sink);
    }
    else {
        struct sluice_transform *xf = NULL;
        st = c->component->transform->create(table, &xf, &c->err);
        c->component->transform->destroy(xf);
    }
    return st;
}

static int create_destroy(struct check *c)
{
    int files = 0;
    uint64_t memory = 0;
    for (int i = 0; i < INSTANCES; i++) {
        struct sluice_testkit_host *host = check_host(c);
        if (host == NULL) {
            return CHECK_FAIL;
        }
        EXPECT_STATUS(c, one_instance(c, host), SLUICE_OK);
        EXPECT(c, sluice_testkit_host_memory(host) == 0, "destroy keeps memory of the budget");
        sluice_testkit_host_free(host);
        if (i == 9) {
            files = check_open_files();
            memory = check_memory();
        }
    }
    EXPECT(c, check_open_files() <= files, "%d descriptors more after %d instances",
           check_open_files() - files, INSTANCES);
    EXPECT(c, check_memory() <= memory + (128 << 10), "%llu bytes more after %d instances",
           (unsigned long long)(check_memory() - memory), INSTANCES);
    return CHECK_PASS;
}

static int destroy_null(struct check *c)
{
    if (c->component->kind == SLUICE_SOURCE) {
        c->component->source->destroy(NULL);
    }
    else if (c->component->kind == SLUICE_SINK) {
        c->component->sink->destroy(NULL);
    }
    else {
        c->component->transform->destroy(NULL);
    }
    return CHECK_PASS;
}

static sluice_status ignore_finding(void *vctx, const struct sluice_finding *finding)
{
    char *text = vctx;
    size_t n = strlen(text);
    (void)snprintf(
        text + n, 4096 - n, "%s %s %s\n", finding->subject != NULL ? finding->subject : "",
        finding->what != NULL ? finding->what : "", finding->remedy != NULL ? finding->remedy : "");
    return SLUICE_OK;
}

static int secrets_stay(struct check *c)
{
    const struct sluice_option *const *options = c->component->options;
    uint32_t secrets = 0;
    for (uint32_t i = 0; options != NULL && options[i] != NULL; i++) {
        if ((options[i]->flags & SLUICE_OPTION_SECRET) == 0 ||
            options[i]->type != SLUICE_OPTION_STRING) {
            continue;
        }
        secrets++;
        uint32_t k = 0;
        while (k < c->set_count && strcmp(c->set[k].key, options[i]->key) != 0) {
            k++;
        }
        if (k < CHECK_SETS_MAX) {
            c->set[k].key = options[i]->key;
            c->set[k].value = SECRET_MARK;
            c->set_count = k == c->set_count ? k + 1 : c->set_count;
        }
    }
    if (secrets == 0) {
        return check_say(c, CHECK_SKIP, "no secret options");
    }
    char findings[4096] = "";
    struct sluice_testkit_host *host = check_host(c);
    if (host == NULL) {
        return CHECK_FAIL;
    }
    const struct sluice_host *table = sluice_testkit_host_table(host);
    if (c->component->kind == SLUICE_SOURCE) {
        struct sluice_source *src = NULL;
        if (c->component->source->create(table, &src, &c->err) >= 0) {
            (void)c->component->source->check(src, NULL, ignore_finding, findings, &c->err);
        }
        c->component->source->destroy(src);
    }
    else if (c->component->kind == SLUICE_SINK) {
        struct sluice_sink *sink = NULL;
        if (c->component->sink->create(table, &sink, &c->err) >= 0) {
            (void)c->component->sink->check(sink, NULL, ignore_finding, findings, &c->err);
        }
        c->component->sink->destroy(sink);
    }
    else {
        (void)one_instance(c, host);
    }
    EXPECT(c, strstr(sluice_testkit_host_log(host), SECRET_MARK) == NULL, "a secret is in the log");
    EXPECT(c, strstr(c->err.message, SECRET_MARK) == NULL, "a secret is in an error");
    EXPECT(c, strstr(findings, SECRET_MARK) == NULL, "a secret is in a finding");
    sluice_testkit_host_free(host);
    return CHECK_PASS;
}

const struct check_entry check_plugin_entries[] = {
    {"one_symbol", "the entry is the only symbol", one_symbol},
    {"descriptor", "sizes, versions and names are right", descriptor},
    {"slots", "every required function is there", slots},
    {"options", "the option table is sound", option_table},
    {"create_destroy", "a thousand instances leave nothing", create_destroy},
    {"destroy_null", "destroying nothing is allowed", destroy_null},
    {"secrets", "secrets are in no log, error or finding", secrets_stay},
    {NULL, NULL, NULL},
};
