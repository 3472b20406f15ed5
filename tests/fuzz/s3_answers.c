/*
 * Fuzz target: what S3 and its neighbours send, and what users write about them. The first byte picks
 * the reader, the rest is the text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "s3/profile.h"
#include "s3/services.h"
#include "s3/target.h"
#include "s3/uri.h"
#include "s3/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sluice_status visit(void *vctx, int event, uint32_t depth, const char *name,
                           const char *text, size_t text_size)
{
    const size_t *cap = vctx;
    (void)event;
    if (depth == 0 || depth > SLUICE_S3_XML_DEPTH_MAX || strlen(name) >= SLUICE_S3_XML_NAME_MAX ||
        text_size > *cap || text[text_size] != '\0') {
        abort();
    }
    return SLUICE_OK;
}

static void read_xml(const char *text, size_t size)
{
    size_t cap = SLUICE_S3_XML_TEXT_MAX;
    char found[16];
    if (sluice_s3_xml_walk(text, size, visit, &cap, NULL) == SLUICE_OK &&
        !sluice_s3_xml_valid(text, size)) {
        abort();
    }
    if (sluice_s3_xml_find(text, size, "Code", found, sizeof found) &&
        (strlen(found) >= sizeof found || strpbrk(found, "\r\n") != NULL)) {
        abort();
    }
}

static void read_creds(const char *text, size_t size, int kind)
{
    struct sluice_s3_creds *creds = calloc(1, sizeof *creds);
    if (creds == NULL) {
        abort();
    }
    const sluice_status status = kind == 1 ? sluice_s3_creds_from_json(text, size, creds, NULL)
                                           : sluice_s3_creds_from_xml(text, size, creds, NULL);
    if (status == SLUICE_OK && (creds->access_key[0] == '\0' || creds->secret_key[0] == '\0')) {
        abort();
    }
    free(creds);
}

static void read_profile(const char *text, size_t size, bool config_file)
{
    struct sluice_s3_profile *profile = calloc(1, sizeof *profile);
    if (profile == NULL) {
        abort();
    }
    (void)sluice_s3_profile_parse(profile, text, size, "default", config_file, NULL);
    free(profile);
}

/* What was escaped reads back as it was, and an endpoint that is taken makes a host without a path. */
static void read_text(const char *text, size_t size)
{
    struct sluice_s3_buf escaped = {0};
    struct sluice_s3_buf back = {0};
    struct sluice_s3_buf host = {0};
    struct sluice_s3_target target;
    sluice_s3_uri_escape(&escaped, text, size, true);
    sluice_s3_uri_unescape(&back, sluice_s3_buf_text(&escaped), escaped.size);
    if (!escaped.failed &&
        (back.size != size || (size > 0 && memcmp(back.data, text, size) != 0))) {
        abort();
    }
    char *line = strndup(text, size);
    if (line == NULL) {
        abort();
    }
    if (sluice_s3_target_init(&target, "bucket", line, SLUICE_S3_PATH_AUTO, NULL) == SLUICE_OK) {
        sluice_s3_target_host(&target, "us-east-1", &host);
        if (strpbrk(sluice_s3_buf_text(&host), "/@?# \r\n") != NULL) {
            abort();
        }
    }
    (void)sluice_s3_iso_time_us(line);
    (void)sluice_s3_region_valid(line);
    free(line);
    sluice_s3_buf_free(&host);
    sluice_s3_buf_free(&back);
    sluice_s3_buf_free(&escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const size_t rest = size - 1;
    char *text = malloc(rest > 0 ? rest : 1); /* exact, so that ASan sees more */
    if (text == NULL) {
        abort();
    }
    memcpy(text, data + 1, rest);
    switch (data[0] % 6) {
    case 0:
        read_xml(text, rest);
        break;
    case 1:
    case 2:
        read_creds(text, rest, data[0] % 6);
        break;
    case 3:
    case 4:
        read_profile(text, rest, data[0] % 6 == 3);
        break;
    default:
        read_text(text, rest);
        break;
    }
    free(text);
    return 0;
}
