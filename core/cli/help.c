#include "help.h"

#include <string.h>

#include "text.h"

#define WIDTH_DEFAULT 80
#define WIDTH_MOST 100

static size_t help_width(const struct sluice_cli_term *term)
{
    return term->width == 0 || term->width > WIDTH_MOST
               ? (term->width == 0 ? WIDTH_DEFAULT : WIDTH_MOST)
               : term->width;
}

void sluice_cli_help_wrap(struct sluice_str *out, const char *text, size_t indent, size_t width)
{
    size_t room = width > indent + 20 ? width - indent : 20;
    size_t column = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, " \n");
        char word[256];
        size_t kept = size < sizeof word - 1 ? size : sizeof word - 1;
        memcpy(word, text, kept);
        word[kept] = '\0';
        size_t columns = sluice_cli_text_width(word);
        if (column > 0 && column + 1 + columns > room) {
            sluice_str_append_char(out, '\n');
            sluice_cli_text_pad(out, indent);
            column = 0;
        }
        else if (column > 0) {
            sluice_str_append_char(out, ' ');
            column++;
        }
        sluice_str_append(out, word);
        column += columns;
        text += size;
        if (*text == '\n') {
            sluice_str_append_char(out, '\n');
            sluice_cli_text_pad(out, indent);
            column = 0;
        }
        text += *text != '\0';
    }
}

static void heading(const struct sluice_cli_term *term, struct sluice_str *out, const char *text)
{
    sluice_cli_term_append(term, out, SLUICE_STYLE_BOLD, text);
    sluice_str_append_char(out, '\n');
}

/* "-j, --parallelism N" */
static void option_label(const struct sluice_cli_option *option, struct sluice_str *out)
{
    if (option->letter != 0) {
        sluice_str_printf(out, "-%c, ", option->letter);
    }
    else {
        sluice_str_append(out, "    ");
    }
    sluice_str_printf(out, "--%s", option->name);
    if (option->value == NULL) {
        return;
    }
    sluice_str_append_char(out, ' ');
    if (option->choices == NULL) {
        sluice_str_append(out, option->value);
        return;
    }
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        sluice_str_printf(out, "%s%s", i > 0 ? "|" : "", option->choices[i]);
    }
}

static void options_text(const struct sluice_cli_command *command, int global,
                         const struct sluice_cli_term *term, struct sluice_str *out)
{
    const size_t column = 28;
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        struct sluice_str label = SLUICE_STR_INIT;
        if (((option->flags & SLUICE_CLI_GLOBAL) != 0) != global ||
            (!global && !sluice_cli_command_takes(command, option))) {
            continue;
        }
        option_label(option, &label);
        size_t width = sluice_cli_text_width(sluice_str_text(&label));
        sluice_str_append(out, "  ");
        sluice_cli_term_append(term, out, SLUICE_STYLE_NAME, sluice_str_text(&label));
        if (width + 4 > column) {
            sluice_str_append_char(out, '\n');
            sluice_cli_text_pad(out, column);
        }
        else {
            sluice_cli_text_pad(out, column - width - 2);
        }
        sluice_cli_help_wrap(out, option->help, column, help_width(term));
        sluice_str_append_char(out, '\n');
        sluice_str_free(&label);
    }
}

static void command_text(const struct sluice_cli_command *command,
                         const struct sluice_cli_term *term, struct sluice_str *out)
{
    sluice_str_append(out, "usage: ");
    sluice_str_printf(out, "sluice %s [options] %s\n\n", command->name, command->words);
    const char *summary = command->summary != NULL ? command->summary : "For tests";
    sluice_cli_help_wrap(out, summary, 0, help_width(term));
    sluice_str_append(out, ".\n");
    if (command->details != NULL) {
        sluice_str_append_char(out, '\n');
        sluice_cli_help_wrap(out, command->details, 0, help_width(term));
        sluice_str_append_char(out, '\n');
    }
    sluice_str_append_char(out, '\n');
    if (command->options != 0) {
        heading(term, out, "Options");
        options_text(command, 0, term, out);
        sluice_str_append_char(out, '\n');
    }
    heading(term, out, "Options of every command");
    options_text(command, 1, term, out);
}

static void command_list(const char *group, const struct sluice_cli_term *term,
                         struct sluice_str *out)
{
    const size_t column = 20;
    size_t size = group != NULL ? strlen(group) : 0;
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        if (size > 0 && (strncmp(c->name, group, size) != 0 || c->name[size] != ' ')) {
            continue;
        }
        sluice_str_append(out, "  ");
        sluice_cli_term_append(term, out, SLUICE_STYLE_NAME, c->name);
        sluice_cli_text_pad(out, column - strlen(c->name) - 2);
        sluice_cli_help_wrap(out, c->summary, column, help_width(term));
        sluice_str_append_char(out, '\n');
    }
}

static void program_text(const struct sluice_cli_term *term, struct sluice_str *out)
{
    sluice_str_append(out, "usage: sluice COMMAND [options] …\n\n"
                           "Moves tables between databases and object stores, as a pipeline file "
                           "says.\n\n");
    heading(term, out, "Commands");
    command_list(NULL, term, out);
    sluice_str_append_char(out, '\n');
    heading(term, out, "Options of every command");
    options_text(NULL, 1, term, out);
    sluice_str_append_char(out, '\n');
    heading(term, out, "Exit codes");
    for (const struct sluice_cli_exit *e = sluice_cli_exits; e->text != NULL; e++) {
        sluice_str_printf(out, "  %-10s", e->code);
        sluice_cli_help_wrap(out, e->text, 12, help_width(term));
        sluice_str_append_char(out, '\n');
    }
    sluice_str_append(out, "\n'sluice help COMMAND' says more.\n");
}

void sluice_cli_help_text(const struct sluice_cli_command *command, const char *group,
                          const struct sluice_cli_term *term, struct sluice_str *out)
{
    if (command != NULL) {
        command_text(command, term, out);
    }
    else if (group != NULL) {
        struct sluice_str list = SLUICE_STR_INIT;
        command_list(group, term, &list);
        if (list.size > 0) {
            sluice_str_printf(out, "usage: sluice %s COMMAND [options] …\n\n", group);
            heading(term, out, "Commands");
            sluice_str_append(out, sluice_str_text(&list));
        }
        sluice_str_free(&list);
    }
    else {
        program_text(term, out);
    }
}

/* ---------------------------------------------------------------- man page ------------------- */

/* Text in troff: what could be taken for a request or an escape is not. */
static void troff(struct sluice_str *out, const char *text)
{
    int line_start = out->size == 0 || out->data[out->size - 1] == '\n';
    for (const char *p = text; *p != '\0'; p++) {
        if (line_start && (*p == '.' || *p == '\'')) {
            sluice_str_append(out, "\\&");
        }
        if (*p == '\\') {
            sluice_str_append(out, "\\e");
        }
        else if (*p == '-') {
            sluice_str_append(out, "\\-");
        }
        else if (strncmp(p, "\xe2\x80\xa6", 3) == 0) {
            sluice_str_append(out, "...");
            p += 2;
        }
        else if (*p == '\n') {
            sluice_str_append(out, "\n.PP\n");
        }
        else {
            sluice_str_append_char(out, *p);
        }
        line_start = *p == '\n';
    }
}

static void man_options(const struct sluice_cli_command *command, int global,
                        struct sluice_str *out)
{
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        struct sluice_str label = SLUICE_STR_INIT;
        if (((option->flags & SLUICE_CLI_GLOBAL) != 0) != global ||
            (!global && !sluice_cli_command_takes(command, option))) {
            continue;
        }
        option_label(option, &label);
        const char *text = sluice_str_text(&label);
        sluice_str_append(out, ".TP\n.B ");
        troff(out, text + strspn(text, " "));
        sluice_str_append_char(out, '\n');
        troff(out, option->help);
        sluice_str_append_char(out, '\n');
        sluice_str_free(&label);
    }
}

void sluice_cli_help_man(struct sluice_str *out)
{
    sluice_str_append(out,
                      ".\\\" Made by sluice help \\-\\-man.\n"
                      ".TH SLUICE 1\n.SH NAME\nsluice \\- move tables between databases and object "
                      "stores\n.SH SYNOPSIS\n.B sluice\n.I COMMAND\n[options] ...\n"
                      ".SH DESCRIPTION\nA pipeline file in YAML names sources, transforms and "
                      "sinks and the edges between them.\n.B sluice run\nmoves the tables that it "
                      "chooses.\n.SH COMMANDS\n");
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        sluice_str_append(out, ".SS sluice ");
        troff(out, c->name);
        sluice_str_append_char(out, ' ');
        troff(out, c->words);
        sluice_str_append_char(out, '\n');
        troff(out, c->summary);
        sluice_str_append(out, ".\n");
        if (c->details != NULL) {
            sluice_str_append(out, ".PP\n");
            troff(out, c->details);
            sluice_str_append_char(out, '\n');
        }
        man_options(c, 0, out);
    }
    sluice_str_append(out, ".SH OPTIONS OF EVERY COMMAND\n");
    man_options(NULL, 1, out);
    sluice_str_append(out, ".SH EXIT STATUS\n");
    for (const struct sluice_cli_exit *e = sluice_cli_exits; e->text != NULL; e++) {
        sluice_str_printf(out, ".TP\n.B %s\n", e->code);
        troff(out, e->text);
        sluice_str_append_char(out, '\n');
    }
    sluice_str_append(
        out,
        ".SH ENVIRONMENT\n.TP\n.B SLUICE_PLUGIN_DIR\nFolders with plugins, divided by colons.\n"
        ".TP\n.B XDG_STATE_HOME\nState is kept in the folder sluice beneath it, unless the file "
        "says otherwise.\nDefault: ~/.local/state.\n.TP\n.B NO_COLOR\nNo colours, when set and not "
        "empty.\n");
}

/* ---------------------------------------------------------------- completion ----------------- */

static void option_words(const struct sluice_cli_command *command, struct sluice_str *out)
{
    int first = 1;
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        if (sluice_cli_command_takes(command, &sluice_cli_options[i])) {
            sluice_str_printf(out, "%s--%s", first ? "" : " ", sluice_cli_options[i].name);
            first = 0;
        }
    }
}

/* The first words of the commands; or the second words of `group`. */
static void command_words(const char *group, struct sluice_str *out)
{
    const char *before = "";
    size_t before_size = 0;
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        size_t size = strcspn(c->name, " ");
        if (group != NULL && (strncmp(c->name, group, size) != 0 || group[size] != '\0')) {
            continue;
        }
        const char *word = group != NULL ? c->name + size + (c->name[size] != '\0') : c->name;
        size_t word_size = group != NULL ? strlen(word) : size;
        if (word_size == 0 || (word_size == before_size && memcmp(word, before, word_size) == 0)) {
            continue;
        }
        sluice_str_printf(out, "%s%.*s", before_size > 0 ? " " : "", (int)word_size, word);
        before = word;
        before_size = word_size;
    }
}

/* Calls f for each first word that has commands of two words. */
static void each_group(void (*f)(const char *group, struct sluice_str *out), struct sluice_str *out)
{
    char group[24] = "";
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        size_t size = strcspn(c->name, " ");
        if (c->name[size] != ' ' || size >= sizeof group ||
            (strlen(group) == size && memcmp(group, c->name, size) == 0)) {
            continue;
        }
        memcpy(group, c->name, size);
        group[size] = '\0';
        f(group, out);
    }
}

static void bash_group(const char *group, struct sluice_str *out)
{
    sluice_str_printf(out, "        %s) COMPREPLY=($(compgen -W \"", group);
    command_words(group, out);
    sluice_str_append(out, "\" -- \"$cur\")); return ;;\n");
}

static void bash_completion(struct sluice_str *out)
{
    sluice_str_append(out, "# bash completion for sluice; made by: sluice completion bash\n"
                           "_sluice() {\n    local cur prev command\n"
                           "    cur=${COMP_WORDS[COMP_CWORD]}\n"
                           "    prev=${COMP_WORDS[COMP_CWORD-1]}\n"
                           "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
                           "        COMPREPLY=($(compgen -W \"");
    command_words(NULL, out);
    sluice_str_append(out, "\" -- \"$cur\"))\n        return\n    fi\n"
                           "    if [ \"$COMP_CWORD\" -eq 2 ]; then\n"
                           "        case ${COMP_WORDS[1]} in\n");
    each_group(bash_group, out);
    sluice_str_append(out, "        esac\n    fi\n    case $prev in\n");
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        if (option->choices != NULL) {
            sluice_str_printf(out, "    --%s) COMPREPLY=($(compgen -W \"", option->name);
            for (size_t k = 0; option->choices[k] != NULL; k++) {
                sluice_str_printf(out, "%s%s", k > 0 ? " " : "", option->choices[k]);
            }
            sluice_str_append(out, "\" -- \"$cur\")); return ;;\n");
        }
    }
    sluice_str_append(out, "    --plugin-dir|--state) COMPREPLY=($(compgen -d -- \"$cur\")); "
                           "return ;;\n    esac\n"
                           "    command=\"${COMP_WORDS[1]} ${COMP_WORDS[2]}\"\n"
                           "    if [[ $cur == -* ]]; then\n        case $command in\n");
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        sluice_str_printf(out, "        \"%s\"%s) COMPREPLY=($(compgen -W \"", c->name,
                          strchr(c->name, ' ') != NULL ? "" : "\" \"*");
        option_words(c, out);
        sluice_str_append(out, "\" -- \"$cur\")) ;;\n");
    }
    sluice_str_append(out, "        esac\n        return\n    fi\n    case $command in\n"
                           "    completion*) COMPREPLY=($(compgen -W \"bash zsh fish\" -- "
                           "\"$cur\")) ;;\n    help*) COMPREPLY=($(compgen -W \"");
    command_words(NULL, out);
    sluice_str_append(out, "\" -- \"$cur\")) ;;\n"
                           "    *) COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n    esac\n}\n"
                           "complete -o filenames -F _sluice sluice\n");
}

static void zsh_group(const char *group, struct sluice_str *out)
{
    sluice_str_printf(out, "        %s) compadd -- ", group);
    command_words(group, out);
    sluice_str_append(out, "; return ;;\n");
}

static void zsh_completion(struct sluice_str *out)
{
    sluice_str_append(out, "#compdef sluice\n"
                           "# zsh completion for sluice; made by: sluice completion zsh\n"
                           "_sluice() {\n"
                           "    if (( CURRENT == 2 )); then\n        compadd -- ");
    command_words(NULL, out);
    sluice_str_append(out, "\n        return\n    fi\n"
                           "    if (( CURRENT == 3 )); then\n        case $words[2] in\n");
    each_group(zsh_group, out);
    sluice_str_append(out, "        esac\n    fi\n    case $words[CURRENT-1] in\n");
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        if (option->choices != NULL) {
            sluice_str_printf(out, "    --%s) compadd --", option->name);
            for (size_t k = 0; option->choices[k] != NULL; k++) {
                sluice_str_printf(out, " %s", option->choices[k]);
            }
            sluice_str_append(out, "; return ;;\n");
        }
    }
    sluice_str_append(out, "    --plugin-dir|--state) _files -/; return ;;\n    esac\n"
                           "    if [[ $PREFIX == -* ]]; then\n"
                           "        case \"$words[2] $words[3]\" in\n");
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        sluice_str_printf(out, "        \"%s\"%s) compadd -- ", c->name,
                          strchr(c->name, ' ') != NULL ? "" : "\" \"*");
        option_words(c, out);
        sluice_str_append(out, " ;;\n");
    }
    sluice_str_append(out, "        esac\n        return\n    fi\n    case $words[2] in\n"
                           "    completion) compadd -- bash zsh fish ;;\n    help) compadd -- ");
    command_words(NULL, out);
    sluice_str_append(out, " ;;\n    *) _files ;;\n    esac\n}\n_sluice \"$@\"\n");
}

/* A text within single quotes of fish. */
static void fish_quoted(struct sluice_str *out, const char *text)
{
    sluice_str_append_char(out, '\'');
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '\'' || *p == '\\') {
            sluice_str_append_char(out, '\\');
        }
        sluice_str_append_char(out, *p);
    }
    sluice_str_append_char(out, '\'');
}

static void fish_command(const struct sluice_cli_command *c, struct sluice_str *out)
{
    size_t size = strcspn(c->name, " ");
    const char *second = c->name[size] == ' ' ? c->name + size + 1 : NULL;
    if (second != NULL) {
        sluice_str_printf(out, "complete -c sluice -n '__fish_use_subcommand' -a %.*s\n", (int)size,
                          c->name);
        sluice_str_printf(out, "complete -c sluice -n '__fish_seen_subcommand_from %.*s' -a %s -d ",
                          (int)size, c->name, second);
    }
    else {
        sluice_str_printf(out, "complete -c sluice -n '__fish_use_subcommand' -a %s -d ", c->name);
    }
    fish_quoted(out, c->summary);
    sluice_str_append_char(out, '\n');
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        if ((option->flags & SLUICE_CLI_GLOBAL) != 0 || !sluice_cli_command_takes(c, option)) {
            continue;
        }
        sluice_str_printf(out, "complete -c sluice -n '__fish_seen_subcommand_from %s' -l %s",
                          second != NULL ? second : c->name, option->name);
        if (option->value != NULL) {
            sluice_str_append(out, " -r");
        }
        if (option->choices != NULL) {
            sluice_str_append(out, " -f -a '");
            for (size_t k = 0; option->choices[k] != NULL; k++) {
                sluice_str_printf(out, "%s%s", k > 0 ? " " : "", option->choices[k]);
            }
            sluice_str_append_char(out, '\'');
        }
        sluice_str_append(out, " -d ");
        fish_quoted(out, option->help);
        sluice_str_append_char(out, '\n');
    }
}

static void fish_completion(struct sluice_str *out)
{
    sluice_str_append(out, "# fish completion for sluice; made by: sluice completion fish\n");
    for (const struct sluice_cli_command *c = sluice_cli_commands; sluice_cli_command_shown(c);
         c++) {
        fish_command(c, out);
    }
    for (size_t i = 0; i < SLUICE_OPT_COUNT; i++) {
        const struct sluice_cli_option *option = &sluice_cli_options[i];
        if ((option->flags & SLUICE_CLI_GLOBAL) != 0) {
            sluice_str_printf(out, "complete -c sluice -l %s%s -d ", option->name,
                              option->value != NULL ? " -r" : "");
            fish_quoted(out, option->help);
            sluice_str_append_char(out, '\n');
        }
    }
}

int sluice_cli_help_completion(const char *shell, struct sluice_str *out)
{
    if (strcmp(shell, "bash") == 0) {
        bash_completion(out);
        return 1;
    }
    if (strcmp(shell, "zsh") == 0) {
        zsh_completion(out);
        return 1;
    }
    if (strcmp(shell, "fish") == 0) {
        fish_completion(out);
        return 1;
    }
    return 0;
}
