#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file opened as descriptor 2 would be written over by the first message. */
static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
            int null = open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
            if (null >= 0 && null != fd) {
                (void)dup2(null, fd);
                (void)close(null);
            }
        }
    }
}

void sluice_process_setup(int allow_core)
{
    struct sigaction ignore;
    fill_standard_descriptors();

    /* A peer that hangs up gives EPIPE where it is handled, not the end of the process. */
    memset(&ignore, 0, sizeof ignore);
    ignore.sa_handler = SIG_IGN;
    (void)sigaction(SIGPIPE, &ignore, NULL);

    /* Numbers and dates are data: they never depend on the user's language. */
    (void)setlocale(LC_ALL, "C");

    /* Nothing we make is writable for others, whatever the caller's umask allows. */
    mode_t mask = umask(077);
    (void)umask(mask | S_IWGRP | S_IWOTH);

    if (!allow_core) {
        struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    }
}
