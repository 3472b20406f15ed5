/*
 * Logging in, in a thread of its own. db-lib asks nobody while it opens a connection (an interrupt handler belongs
 * to a DBPROCESS, which is not there yet), and its login timeout counts each wait anew. So the caller waits here
 * for the thread, by its own clock and with an eye on cancellation; a login that is given up ends by itself.
 */
#include "tds/conn_internal.h"
#include "tds/places.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LOOK_EVERY_MS = 100 };

struct login {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct sluice_tds_conn
        made; /* the thread's until done: what the handlers were told, the DBPROCESS */
    LOGINREC *record;
    char place[SLUICE_TDS_PLACE_NAME];
    int32_t done;
    int32_t given_up; /* then the thread frees all of it */
};

static void login_free(struct login *login)
{
    if (login->made.db != NULL) {
        dbclose(login->made.db);
    }
    if (login->record != NULL) {
        dbloginfree(login->record);
    }
    (void)pthread_cond_destroy(&login->changed);
    (void)pthread_mutex_destroy(&login->mutex);
    free(login);
}

static void *login_run(void *arg)
{
    struct login *login = arg;
    sluice_tds_opening(&login->made);
    DBPROCESS *db = dbopen(login->record, login->place);
    sluice_tds_opening(NULL);
    (void)pthread_mutex_lock(&login->mutex);
    login->made.db = db;
    login->done = 1;
    const int32_t given_up = login->given_up;
    (void)pthread_cond_signal(&login->changed);
    (void)pthread_mutex_unlock(&login->mutex);
    if (given_up) {
        login_free(login);
    }
    return NULL;
}

static sluice_status fill(const struct sluice_tds_settings *s, LOGINREC *login,
                          struct sluice_error *err)
{
    if (DBSETLUSER(login, s->user) != SUCCEED ||
        DBSETLPWD(login, s->password != NULL ? s->password : "") != SUCCEED ||
        DBSETLAPP(login, "sluice") != SUCCEED || BCP_SETL(login, TRUE) != SUCCEED ||
        DBSETLCHARSET(login, "UTF-8") != SUCCEED || DBSETLDBNAME(login, s->database) != SUCCEED ||
        DBSETLPACKET(login, (int)s->packet_size) != SUCCEED ||
        DBSETLVERSION(login, DBVERSION_74) != SUCCEED) {
        return sluice_error_set(err, SLUICE_E_INVALID, 0,
                                "user, password or database is longer than a login takes");
    }
    return SLUICE_OK;
}

static sluice_status login_make(const struct sluice_tds_settings *settings, struct login **out,
                                struct sluice_error *err)
{
    pthread_condattr_t attributes;
    struct login *login = calloc(1, sizeof *login);
    if (login == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a login");
    }
    (void)pthread_mutex_init(&login->mutex, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&login->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    sluice_status status = sluice_tds_place(settings, login->place, err);
    if (status >= 0) {
        login->record = dblogin();
        status = login->record != NULL
                     ? fill(settings, login->record, err)
                     : sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a login");
    }
    if (status < 0) {
        login_free(login);
        return status;
    }
    *out = login;
    return SLUICE_OK;
}

/* Until the thread is done, the deadline has passed or the host has had enough. */
static void login_wait(struct login *login, struct sluice_tds_conn *conn)
{
    while (!login->done && !sluice_tds_is_over(conn)) {
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_EVERY_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        (void)pthread_cond_timedwait(&login->changed, &login->mutex, &until);
    }
}

sluice_status sluice_tds_login(struct sluice_tds_conn *conn,
                               const struct sluice_tds_settings *settings, struct sluice_error *err)
{
    const struct sluice_host *host = conn->host;
    struct login *login = NULL;
    pthread_t thread;
    SLUICE_TRY(login_make(settings, &login, err));
    /* In whole seconds, for the thread that nobody waits for any more. */
    (void)dbsetlogintime((int)((settings->login_timeout_us + 999999) / 1000000));
    conn->deadline_us =
        host->now_us(host->ctx, SLUICE_CLOCK_MONOTONIC) + settings->login_timeout_us;
    const int rc = pthread_create(&thread, NULL, login_run, login);
    if (rc != 0) {
        login_free(login);
        return sluice_error_errno(err, rc, "starting a thread for a login");
    }
    (void)pthread_detach(thread);
    (void)pthread_mutex_lock(&login->mutex);
    login_wait(login, conn);
    const int32_t done = login->done;
    login->given_up = !done;
    (void)pthread_mutex_unlock(&login->mutex);
    if (!done) {
        conn->gave_up = 1;
        return SLUICE_OK;
    }
    conn->db = login->made.db;
    login->made.db = NULL;
    conn->first = login->made.first;
    conn->has_first = login->made.has_first;
    conn->gave_up = login->made.gave_up;
    login_free(login);
    return SLUICE_OK;
}
