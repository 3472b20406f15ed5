#include "confirm.h"

#include <string.h>
#include <unistd.h>

/* 1 = yes. */
static int ask(const char *question)
{
    char answer[8];
    (void)sluice_cli_term_write(STDERR_FILENO, question, strlen(question));
    ssize_t size = read(STDIN_FILENO, answer, sizeof answer - 1);
    return size > 0 && (answer[0] == 'y' || answer[0] == 'Y');
}

int sluice_cli_confirm(struct sluice_cli *cli, const char *question, const char *hint, int *go)
{
    struct sluice_str text = SLUICE_STR_INIT;
    *go = sluice_cli_args_has(&cli->args, SLUICE_OPT_YES);
    if (*go) {
        return SLUICE_EXIT_OK;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) || cli->json) {
        sluice_cli_error(cli, SLUICE_E_INVALID, "nobody is there to ask", hint);
        return SLUICE_EXIT_CONFIG;
    }
    *go = ask(question);
    if (!*go) {
        sluice_str_append(&text, "nothing was changed\n");
        sluice_cli_out(cli, &text);
        sluice_str_free(&text);
    }
    return SLUICE_EXIT_OK;
}
