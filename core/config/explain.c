/* libyaml's errors, in words that say what to do. */
#include <string.h>

#include "config/internal.h"

struct explanation {
    const char *context; /* begins so; NULL = any */
    const char *problem; /* begins so; NULL = any */
    int32_t at_context;  /* the place to look at is where the thing began */
    const char *message;
    const char *hint;
};

#define QUOTED_VARIABLE "inside { } or [ ] a value with ${…} must be quoted"

static const struct explanation explanations[] = {
    {NULL, "found a tab character", 0, "a tab is used where YAML allows only spaces",
     "indent with spaces"},
    {"while scanning a quoted scalar", "found unexpected end of stream", 1,
     "the quote that begins here is never closed", NULL},
    {"while scanning a quoted scalar", "found unexpected document indicator", 1,
     "the quote that begins here is never closed", NULL},
    {NULL, "found unknown escape character", 0, "unknown escape after \\",
     "within \"…\" a backslash is written \\\\; '…' takes it as it is"},
    {NULL, "did not find expected hexdecimal number", 0, "\\x, \\u and \\U want hexadecimal digits",
     NULL},
    {"while scanning an alias", NULL, 1, "a value that begins with * must be quoted",
     "write \"*…\""},
    {"while scanning an anchor", NULL, 1, "a value that begins with & must be quoted",
     "write \"&…\""},
    {"while scanning a tag", NULL, 1, "a value that begins with ! must be quoted", "write \"!…\""},
    {"while scanning a block scalar", NULL, 1, "a value that begins with | or > must be quoted",
     "or its text begins on the next line, indented"},
    {"while parsing a flow mapping", NULL, 1, "the { that begins here is not closed properly",
     "check for a missing } or , and quote values with { } [ ] or ,"},
    {"while parsing a flow sequence", NULL, 1, "the [ that begins here is not closed properly",
     "check for a missing ] or , and quote values with { } [ ] or ,"},
    {NULL, "mapping values are not allowed", 0, "a \":\" is not expected here",
     "quote a value that contains \": \", and check the indentation"},
    {NULL, "could not find expected ':'", 1, "a \":\" is missing after this key", NULL},
    {NULL, "did not find expected key", 0, "the indentation does not fit what stands above",
     "keys of one mapping begin in the same column"},
    {NULL, "did not find expected '-' indicator", 0, "the indentation does not fit the list above",
     "items of one list begin in the same column"},
    {NULL, "block sequence entries are not allowed", 0, "a list item is not expected here",
     "put the list on the line after its key"},
    {NULL, "block collection entries", 0, "a list item is not expected here",
     "put the list on the line after its key"},
    {NULL, "did not find expected <document start>", 0,
     "the text goes on where the document has ended", "check the indentation and the quotes"},
    {NULL, "did not find expected node content", 0, "a value must not begin with this character",
     "put it into quotes"},
    {NULL, "mapping keys are not allowed", 0, "a value that begins with ? must be quoted", NULL},
    {NULL, "found incompatible YAML document", 0, "YAML version not known", "leave %YAML out"},
    {NULL, "found invalid Unicode character escape", 0, "no such character", NULL},
};

static int begins(const char *text, const char *with)
{
    return with == NULL || (text != NULL && strncmp(text, with, strlen(with)) == 0);
}

/* The rest of the input from a place on; "" past the end. */
static const char *find_place(const char *data, size_t size, uint32_t line, uint32_t column,
                              size_t *left)
{
    size_t i = 0;
    for (uint32_t at = 1; at < line && i < size; i++) {
        at += data[i] == '\n';
    }
    for (uint32_t at = 1; at < column && i < size; at++) {
        i++;
        while (i < size && ((unsigned char)data[i] & 0xc0u) == 0x80u) {
            i++;
        }
    }
    *left = size - i;
    return data + i;
}

/* "found character that cannot start any token": which one? */
static int explain_character(const struct sluice_yaml_problem *problem, const char *data,
                             size_t size, struct sluice_diags *diags)
{
    size_t left = 0;
    const char *at = find_place(data, size, problem->line, problem->column, &left);
    if (left > 0 && *at == '\t') {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, problem->line, problem->column, NULL,
                         "indent with spaces", "a tab is used where YAML allows only spaces");
        return 1;
    }
    if (left > 0 && strchr("@`%", *at) != NULL) {
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, problem->line, problem->column, NULL,
                         "put it into quotes", "a value that begins with %c must be quoted", *at);
        return 1;
    }
    return 0;
}

/* "did not find expected key" in the middle of a line: something follows a closing quote. */
static int explain_rest_of_line(const struct sluice_yaml_problem *problem, const char *data,
                                size_t size, struct sluice_diags *diags)
{
    size_t left = 0;
    const char *line = find_place(data, size, problem->line, 1, &left);
    const char *at = find_place(data, size, problem->line, problem->column, &left);
    while (line < at && *line == ' ') {
        line++;
    }
    if (line == at || left == 0) {
        return 0;
    }
    sluice_diags_add(diags, SLUICE_DIAG_ERROR, problem->line, problem->column, NULL,
                     "quote the whole value; a quote within '…' is written ''",
                     "this text follows a value that has ended");
    return 1;
}

static int holds_variable(const char *data, size_t size, uint32_t line)
{
    size_t left = 0;
    const char *at = find_place(data, size, line, 1, &left);
    const char *end = (const char *)memchr(at, '\n', left);
    return memmem(at, end != NULL ? (size_t)(end - at) : left, "${", 2) != NULL;
}

void sluice_yaml_explain(const struct sluice_yaml_problem *problem, const char *data, size_t size,
                         struct sluice_diags *diags)
{
    if (begins(problem->problem, "found character that cannot start") &&
        explain_character(problem, data, size, diags)) {
        return;
    }
    if (begins(problem->problem, "did not find expected key") &&
        explain_rest_of_line(problem, data, size, diags)) {
        return;
    }
    for (size_t i = 0; i < sizeof explanations / sizeof explanations[0]; i++) {
        const struct explanation *e = &explanations[i];
        if (!begins(problem->context, e->context) || !begins(problem->problem, e->problem)) {
            continue;
        }
        uint32_t line = e->at_context ? problem->context_line : problem->line;
        uint32_t column = e->at_context ? problem->context_column : problem->column;
        int flow = begins(e->context, "while parsing a flow") && e->context != NULL;
        const char *hint =
            flow && holds_variable(data, size, problem->line) ? QUOTED_VARIABLE : e->hint;
        sluice_diags_add(diags, SLUICE_DIAG_ERROR, line, column, NULL, hint, "%s", e->message);
        return;
    }
    sluice_diags_add(diags, SLUICE_DIAG_ERROR, problem->line, problem->column, NULL,
                     problem->context, "not valid YAML: %s",
                     problem->problem != NULL ? problem->problem : "unknown problem");
}
