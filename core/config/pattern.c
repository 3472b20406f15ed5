/* Patterns over stream names: globs, and "re:" with a POSIX extended expression. */
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "config/internal.h"
#include "config/pipeline.h"

enum {
    PATTERN_MAX = 1024, /* bytes: the C library's compiler is not made for hostile input */
    REPEAT_MAX = 1000   /* product of all {m,n} of one expression: each copies what it repeats */
};

static int is_regex(const char *pattern)
{
    return strncmp(pattern, "re:", 3) == 0;
}

/* Compiles, anchored at both ends. 0 = fine, else a code of regcomp. */
static int compile(const char *pattern, regex_t *regex)
{
    struct sluice_str text = SLUICE_STR_INIT;
    sluice_str_printf(&text, "^(%s)$", pattern + 3);
    int code =
        text.failed ? REG_ESPACE : regcomp(regex, sluice_str_text(&text), REG_EXTENDED | REG_NOSUB);
    sluice_str_free(&text);
    return code;
}

/* 1 if the repetitions of an expression multiply to more than is sane: (a{1000}){1000} would take
 * gigabytes to compile. */
static int repeats_too_much(const char *text)
{
    long product = 1;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\0') {
            p++;
            continue;
        }
        if (*p != '{') {
            continue;
        }
        long most = 1;
        for (const char *q = p + 1; (*q >= '0' && *q <= '9') || *q == ','; q++) {
            long n = 0;
            for (; *q >= '0' && *q <= '9' && n <= REPEAT_MAX; q++) {
                n = n * 10 + (*q - '0');
            }
            most = n > most ? n : most;
            if (*q != ',') {
                break;
            }
        }
        product *= most;
        if (product > REPEAT_MAX) {
            return 1;
        }
    }
    return 0;
}

/* An expression that closes a group it did not open would break out of our anchors. */
static int is_balanced(const char *text)
{
    int depth = 0;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\\' && p[1] != '\0') {
            p++;
        }
        else if (*p == '[') {
            p += p[1] == '^';
            p += p[1] == ']';
            while (p[1] != '\0' && p[1] != ']') {
                p++;
            }
            if (p[1] == '\0') {
                return 1; /* the compiler says what is wrong */
            }
            p++;
        }
        else if (*p == '(') {
            depth++;
        }
        else if (*p == ')' && --depth < 0) {
            return 0;
        }
    }
    return 1;
}

int sluice_config_pattern_check(const char *pattern, char *why, size_t why_size)
{
    regex_t regex;
    if (*pattern == '\0' || strcmp(pattern, "re:") == 0) {
        (void)snprintf(why, why_size, "the pattern is empty");
        return 0;
    }
    if (strlen(pattern) > PATTERN_MAX) {
        (void)snprintf(why, why_size, "the pattern is longer than %d bytes", PATTERN_MAX);
        return 0;
    }
    if (!is_regex(pattern)) {
        return 1;
    }
    if (repeats_too_much(pattern + 3)) {
        (void)snprintf(why, why_size, "{…} repeats more than %d times in all", REPEAT_MAX);
        return 0;
    }
    if (!is_balanced(pattern + 3)) {
        (void)snprintf(why, why_size, "a ) has no (");
        return 0;
    }
    int code = compile(pattern, &regex);
    if (code != 0) {
        char text[200];
        (void)regerror(code, NULL, text, sizeof text);
        (void)snprintf(why, why_size, "not a valid expression: %s", text);
        return 0;
    }
    regfree(&regex);
    return 1;
}

int sluice_config_pattern_match(const char *pattern, const char *stream)
{
    regex_t regex;
    if (!is_regex(pattern)) {
        return sluice_glob_match(pattern, stream);
    }
    if (strlen(pattern) > PATTERN_MAX || repeats_too_much(pattern + 3) ||
        !is_balanced(pattern + 3) || compile(pattern, &regex) != 0) {
        return 0;
    }
    int matches = regexec(&regex, stream, 0, NULL, 0) == 0;
    regfree(&regex);
    return matches;
}
