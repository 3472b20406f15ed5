/* sluice-plugin-test: runs the conformance checks on a plugin file. */
#include <stdio.h>
#include <stdlib.h>

#include "check.h"

static const char usage[] =
    "usage: sluice-plugin-test FILE.so [option…]\n"
    "  --component NAME   the component to test, if the file has several\n"
    "  --set KEY=VALUE    an option of the component; again for each item of a list; {tmp} in the\n"
    "                     value is a fresh folder per check\n"
    "  --only TEXT        checks whose name contains TEXT\n"
    "  --timeout SECONDS  per check (60)\n"
    "  --in-process       no child processes, for debuggers\n"
    "  --list             what is in the file\n";

struct arguments {
    struct sluice_testkit_subject subject;
    struct sluice_pair sets[CHECK_SETS_MAX];
    const char *component;
    int list;
};

/* The value of option `name` at argv[*i], or NULL. */
static char *take(int argc, char **argv, int *i, const char *name)
{
    if (strcmp(argv[*i], name) != 0 || *i + 1 >= argc) {
        return NULL;
    }
    return argv[++*i];
}

static int parse(int argc, char **argv, struct arguments *a)
{
    a->subject.path = argv[1];
    a->subject.set = a->sets;
    for (int i = 2; i < argc; i++) {
        char *value = NULL;
        if (strcmp(argv[i], "--in-process") == 0) {
            a->subject.in_process = 1;
        }
        else if (strcmp(argv[i], "--list") == 0) {
            a->list = 1;
        }
        else if ((value = take(argc, argv, &i, "--component")) != NULL) {
            a->component = value;
        }
        else if ((value = take(argc, argv, &i, "--only")) != NULL) {
            a->subject.only = value;
        }
        else if ((value = take(argc, argv, &i, "--timeout")) != NULL) {
            a->subject.timeout_s = (uint32_t)strtoul(value, NULL, 10);
        }
        else if ((value = take(argc, argv, &i, "--set")) != NULL) {
            char *equals = strchr(value, '=');
            if (equals == NULL || a->subject.set_count == CHECK_SETS_MAX) {
                return 0;
            }
            *equals = '\0';
            a->sets[a->subject.set_count].key = value;
            a->sets[a->subject.set_count++].value = equals + 1;
        }
        else {
            return 0;
        }
    }
    return 1;
}

static void list(const struct sluice_plugin *plugin)
{
    static const char *const kinds[] = {"?", "source", "sink", "transform"};
    printf("%s %s (ABI %u.%u)\n", plugin->name, plugin->version, plugin->abi_major,
           plugin->abi_minor);
    for (uint32_t i = 0; i < plugin->component_count; i++) {
        const struct sluice_component *c = plugin->components[i];
        printf("  %s %s: %s\n", kinds[c->kind >= 1 && c->kind <= 3 ? c->kind : 0], c->name,
               c->summary);
    }
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct sluice_error err = SLUICE_ERROR_INIT;
    struct sluice_testkit_result result;
    memset(&a, 0, sizeof a);
    if (argc < 2 || argv[1][0] == '-' || !parse(argc, argv, &a)) {
        fputs(usage, stderr);
        return 2;
    }
    a.subject.plugin = sluice_testkit_load(a.subject.path, &err);
    if (a.subject.plugin == NULL) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    if (a.list) {
        list(a.subject.plugin);
        return 0;
    }
    a.subject.component = sluice_testkit_component(a.subject.plugin, a.component);
    if (a.subject.component == NULL) {
        fprintf(stderr, "%s: no such component; it has:\n", a.subject.path);
        list(a.subject.plugin);
        return 2;
    }
    sluice_testkit_run(&a.subject, &result);
    printf("%u passed, %u failed, %u skipped\n", result.passed, result.failed, result.skipped);
    return result.failed == 0 ? 0 : 1;
}
