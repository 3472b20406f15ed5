/* One running process per pipeline: a lock of the open file description, which the kernel drops when
 * the process dies, however it dies. The file only tells people who holds it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "sluice/abi.h"
#include "state/state_internal.h"

/* Who holds it, made printable: the file is only a note. */
static void holder_read(int fd, char *out, size_t cap)
{
    ssize_t size = pread(fd, out, cap - 1, 0);
    size_t used = size > 0 ? (size_t)size : 0;
    for (size_t i = 0; i < used; i++) {
        if (out[i] == '\n' || out[i] == '\0') {
            used = i;
        }
        else if ((unsigned char)out[i] < 0x20 || (unsigned char)out[i] >= 0x7f) {
            out[i] = '?';
        }
    }
    out[used] = '\0';
}

/* A note that cannot be written (disk full) does no harm. */
static void holder_write(int fd)
{
    char host[256] = "";
    char since[32];
    char text[400];
    (void)gethostname(host, sizeof host - 1);
    sluice_time_iso(sluice_now_us(SLUICE_CLOCK_WALL), since);
    int size = snprintf(text, sizeof text, "process %ld on %s since %s\n", (long)getpid(),
                        host[0] != '\0' ? host : "?", since);
    if (ftruncate(fd, 0) == 0 && size > 0) {
        ssize_t written = pwrite(fd, text, (size_t)size, 0);
        (void)written;
    }
}

sluice_status sluice_state_lock(const char *path, const char *pipeline, int *fd,
                                struct sluice_error *err)
{
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (opened < 0) {
        return sluice_error_errno(err, errno,
                                  "cannot open lock file %s (the state folder must be writable; "
                                  "state.uri sets another)",
                                  path);
    }
    if (fcntl(opened, F_OFD_SETLK, &lock) != 0) {
        int errnum = errno;
        char holder[300];
        holder_read(opened, holder, sizeof holder);
        (void)close(opened);
        if (errnum == EAGAIN || errnum == EACCES) {
            return sluice_error_set(
                err, SLUICE_E_CONFLICT, 0,
                "pipeline %s is already being run, by %s: wait for it or stop it "
                "(lock %s)",
                pipeline, holder[0] != '\0' ? holder : "another process", path);
        }
        return sluice_error_errno(err, errnum, "cannot lock %s", path);
    }
    holder_write(opened);
    *fd = opened;
    return SLUICE_OK;
}
