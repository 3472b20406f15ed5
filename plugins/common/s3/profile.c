#include "s3/profile.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1 << 20)

sluice_status sluice_s3_file_read(const char *path, struct sluice_s3_buf *buf,
                                  struct sluice_error *err)
{
    char piece[4096];
    sluice_status status = SLUICE_OK;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        const int why = errno;
        status = sluice_error_errno(err, why, "%s: cannot open", path);
        return why == ENOENT || why == ENOTDIR ? SLUICE_E_NOT_FOUND : status;
    }
    buf->max = FILE_BYTES_MAX;
    for (;;) {
        const ssize_t got = read(fd, piece, sizeof piece);
        if (got == 0) {
            break;
        }
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            status = sluice_error_errno(err, errno, "%s: cannot read", path);
            break;
        }
        sluice_s3_buf_add(buf, piece, (size_t)got);
        if (buf->failed) {
            status = sluice_error_set(err, SLUICE_E_LIMIT, 0, "%s: larger than 1 MiB", path);
            break;
        }
    }
    explicit_bzero(piece, sizeof piece);
    close(fd);
    return status;
}

/* A stretch of text. */
struct span {
    const char *at;
    size_t size;
};

static struct span trim(struct span span)
{
    while (span.size > 0 && (span.at[0] == ' ' || span.at[0] == '\t')) {
        span.at++;
        span.size--;
    }
    while (span.size > 0 && (span.at[span.size - 1] == ' ' || span.at[span.size - 1] == '\t' ||
                             span.at[span.size - 1] == '\r')) {
        span.size--;
    }
    return span;
}

static bool equals(struct span span, const char *text)
{
    return span.size == strlen(text) && memcmp(span.at, text, span.size) == 0;
}

/* "[profile x]", "[x]": whether that is our section. */
static bool section_matches(struct span line, const char *name, bool config_file)
{
    struct span inner = {line.at + 1, 0};
    const char *close_at = memchr(line.at, ']', line.size);
    if (close_at == NULL) {
        return false;
    }
    inner.size = (size_t)(close_at - inner.at);
    inner = trim(inner);
    if (config_file && inner.size > 8 && memcmp(inner.at, "profile", 7) == 0 &&
        (inner.at[7] == ' ' || inner.at[7] == '\t')) {
        inner = trim((struct span){inner.at + 7, inner.size - 7});
        return equals(inner, name);
    }
    return equals(inner, name) && (!config_file || strcmp(name, "default") == 0);
}

static sluice_status take(struct sluice_s3_profile *profile, struct span key, struct span value,
                          struct sluice_error *err)
{
    const struct {
        const char *key;
        char *to;
        size_t size;
    } known[] = {
        {"aws_access_key_id", profile->access_key, sizeof profile->access_key},
        {"aws_secret_access_key", profile->secret_key, sizeof profile->secret_key},
        {"aws_session_token", profile->session_token, sizeof profile->session_token},
        {"region", profile->region, sizeof profile->region},
        {"role_arn", profile->role_arn, sizeof profile->role_arn},
        {"web_identity_token_file", profile->token_file, sizeof profile->token_file},
    };
    static const char *const others[] = {"credential_process", "source_profile",
                                         "credential_source", "sso_session", "sso_start_url"};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!equals(key, known[i].key) || known[i].to[0] != '\0') {
            continue;
        }
        if (value.size >= known[i].size) {
            return sluice_error_set(err, SLUICE_E_DATA, 0, "profile: the value of %s is too long",
                                    known[i].key);
        }
        memcpy(known[i].to, value.at, value.size);
        known[i].to[value.size] = '\0';
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (equals(key, others[i])) {
            sluice_s3_text_copy(profile->other, sizeof profile->other, others[i],
                                strlen(others[i]));
        }
    }
    return SLUICE_OK;
}

sluice_status sluice_s3_profile_parse(struct sluice_s3_profile *profile, const char *text,
                                      size_t size, const char *name, bool config_file,
                                      struct sluice_error *err)
{
    const char *end = text + size;
    bool ours = false;
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
    }
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline != NULL ? newline : end;
        const struct span raw = {text, (size_t)(line_end - text)};
        const struct span line = trim(raw);
        text = newline != NULL ? newline + 1 : end;
        if (line.size == 0 || line.at[0] == '#' || line.at[0] == ';') {
            continue;
        }
        if (line.at[0] == '[') {
            ours = section_matches(line, name, config_file);
            profile->found = profile->found || ours;
            continue;
        }
        const char *equal = memchr(line.at, '=', line.size);
        /* Indented lines belong to a nested block such as `s3 =`, which has nothing for us. */
        if (!ours || equal == NULL || line.at != raw.at) {
            continue;
        }
        const struct span key = trim((struct span){line.at, (size_t)(equal - line.at)});
        const struct span value =
            trim((struct span){equal + 1, line.size - (size_t)(equal + 1 - line.at)});
        SLUICE_TRY(take(profile, key, value, err));
    }
    return SLUICE_OK;
}

/* The file that `variable` names, else ~/.aws/`file`; "" when there is no home. */
static void file_path(sluice_s3_env env, const char *variable, const char *file, char *to,
                      size_t to_size)
{
    struct passwd entry;
    struct passwd *found = NULL;
    char scratch[2048];
    const char *named = env(variable);
    const char *home = env("HOME");
    to[0] = '\0';
    if (named != NULL && named[0] != '\0') {
        if (strlen(named) < to_size) {
            memcpy(to, named, strlen(named) + 1);
        }
        return;
    }
    if (home == NULL && getpwuid_r(geteuid(), &entry, scratch, sizeof scratch, &found) == 0 &&
        found != NULL) {
        home = found->pw_dir;
    }
    if (home != NULL && home[0] == '/') {
        const int size = snprintf(to, to_size, "%s/.aws/%s", home, file);
        if (size < 0 || (size_t)size >= to_size) {
            to[0] = '\0';
        }
    }
}

static sluice_status load_file(struct sluice_s3_profile *profile, const char *path,
                               const char *name, bool config_file, struct sluice_error *err)
{
    struct sluice_s3_buf buf = {0};
    if (path[0] == '\0') {
        return SLUICE_OK;
    }
    sluice_status status = sluice_s3_file_read(path, &buf, err);
    if (status == SLUICE_E_NOT_FOUND) {
        sluice_error_clear(err);
        status = SLUICE_OK;
    }
    else if (status == SLUICE_OK) {
        status = sluice_s3_profile_parse(profile, sluice_s3_buf_text(&buf), buf.size, name,
                                         config_file, err);
        if (status < 0) {
            status = sluice_error_wrap(err, "%s", path);
        }
    }
    sluice_s3_buf_wipe(&buf);
    return status;
}

sluice_status sluice_s3_profile_load(struct sluice_s3_profile *profile, sluice_s3_env env,
                                     const char *name, struct sluice_error *err)
{
    char path[1024];
    file_path(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials", path, sizeof path);
    SLUICE_TRY(load_file(profile, path, name, false, err));
    file_path(env, "AWS_CONFIG_FILE", "config", path, sizeof path);
    return load_file(profile, path, name, true, err);
}
