#include "s3/xml.h"

#include <string.h>

struct reader {
    const char *at;
    const char *end;
    uint32_t depth;
    bool leaf; /* no child since the last start tag */
    bool done; /* the root is closed */
    char names[SLUICE_S3_XML_DEPTH_MAX][SLUICE_S3_XML_NAME_MAX];
    struct sluice_s3_buf text;
    sluice_s3_xml_visit visit;
    void *vctx;
};

static sluice_status broken(struct sluice_error *err, const char *what)
{
    return sluice_error_set(err, SLUICE_E_DATA, 0, "XML answer: %s", what);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool starts(const struct reader *rd, const char *word)
{
    const size_t size = strlen(word);
    return (size_t)(rd->end - rd->at) >= size && memcmp(rd->at, word, size) == 0;
}

/* Moves behind the next `word`. */
static bool skip_past(struct reader *rd, const char *word)
{
    const char *found = memmem(rd->at, (size_t)(rd->end - rd->at), word, strlen(word));
    if (found == NULL) {
        return false;
    }
    rd->at = found + strlen(word);
    return true;
}

static void add_utf8(struct sluice_s3_buf *buf, uint32_t c)
{
    if (c < 0x80) {
        sluice_s3_buf_addc(buf, (char)c);
    }
    else if (c < 0x800) {
        sluice_s3_buf_addc(buf, (char)(0xc0u | (c >> 6)));
        sluice_s3_buf_addc(buf, (char)(0x80u | (c & 0x3fu)));
    }
    else if (c < 0x10000) {
        sluice_s3_buf_addc(buf, (char)(0xe0u | (c >> 12)));
        sluice_s3_buf_addc(buf, (char)(0x80u | ((c >> 6) & 0x3fu)));
        sluice_s3_buf_addc(buf, (char)(0x80u | (c & 0x3fu)));
    }
    else {
        sluice_s3_buf_addc(buf, (char)(0xf0u | (c >> 18)));
        sluice_s3_buf_addc(buf, (char)(0x80u | ((c >> 12) & 0x3fu)));
        sluice_s3_buf_addc(buf, (char)(0x80u | ((c >> 6) & 0x3fu)));
        sluice_s3_buf_addc(buf, (char)(0x80u | (c & 0x3fu)));
    }
}

/* "#38" or "#x26"; 0 when it is no character. */
static uint32_t character_reference(const char *name, size_t size)
{
    const uint32_t base = size > 1 && name[1] == 'x' ? 16 : 10;
    uint32_t value = 0;
    size_t i = base == 16 ? 2 : 1;
    if (i >= size) {
        return 0;
    }
    for (; i < size; i++) {
        const char c = name[i];
        uint32_t digit = 99;
        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        }
        else if (base == 16 && (c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        }
        if (digit >= base) {
            return 0;
        }
        value = value * base + digit;
        if (value > 0x10ffff) {
            return 0;
        }
    }
    return value >= 0xd800 && value <= 0xdfff ? 0 : value;
}

/* At '&'. */
static sluice_status read_entity(struct reader *rd, struct sluice_error *err)
{
    static const struct {
        const char *name;
        char c;
    } named[] = {{"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
    const size_t left = (size_t)(rd->end - rd->at);
    const char *semicolon = memchr(rd->at, ';', left < 12 ? left : 12);
    if (semicolon == NULL) {
        return broken(err, "an entity has no end");
    }
    const char *name = rd->at + 1;
    const size_t size = (size_t)(semicolon - name);
    rd->at = semicolon + 1;
    if (size > 1 && name[0] == '#') {
        const uint32_t c = character_reference(name, size);
        if (c == 0) {
            return broken(err, "a character reference names no character");
        }
        add_utf8(&rd->text, c);
        return SLUICE_OK;
    }
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        if (strlen(named[i].name) == size && memcmp(named[i].name, name, size) == 0) {
            sluice_s3_buf_addc(&rd->text, named[i].c);
            return SLUICE_OK;
        }
    }
    return broken(err, "an unknown entity");
}

/* Copies a tag name without its prefix to `to`; the cursor ends behind it. */
static sluice_status read_name(struct reader *rd, char to[SLUICE_S3_XML_NAME_MAX],
                               struct sluice_error *err)
{
    const char *from = rd->at;
    while (rd->at < rd->end && !is_space(*rd->at) && *rd->at != '>' && *rd->at != '/' &&
           *rd->at != '<') {
        if (*rd->at == ':') {
            from = rd->at + 1;
        }
        rd->at++;
    }
    const size_t size = (size_t)(rd->at - from);
    if (size == 0 || size >= SLUICE_S3_XML_NAME_MAX) {
        return broken(err, "a tag name is empty or too long");
    }
    memcpy(to, from, size);
    to[size] = '\0';
    return SLUICE_OK;
}

static sluice_status leave(struct reader *rd)
{
    const char *name = rd->names[rd->depth - 1];
    const char *text = rd->leaf ? sluice_s3_buf_text(&rd->text) : "";
    const size_t size = rd->leaf ? rd->text.size : 0;
    const sluice_status status =
        rd->visit(rd->vctx, SLUICE_S3_XML_LEAVE, rd->depth, name, text, size);
    rd->depth--;
    rd->leaf = false;
    rd->done = rd->depth == 0;
    sluice_s3_buf_clear(&rd->text);
    return status;
}

/* Behind '<'. */
static sluice_status read_start(struct reader *rd, struct sluice_error *err)
{
    if (rd->depth == SLUICE_S3_XML_DEPTH_MAX) {
        return broken(err, "nested too deep");
    }
    SLUICE_TRY(read_name(rd, rd->names[rd->depth], err));
    char quote = '\0';
    char last = '\0';
    while (rd->at < rd->end && (quote != '\0' || *rd->at != '>')) {
        last = *rd->at++;
        if (quote == '\0' && (last == '"' || last == '\'')) {
            quote = last;
        }
        else if (last == quote) {
            quote = '\0';
        }
    }
    if (rd->at == rd->end) {
        return broken(err, "a tag has no end");
    }
    rd->at++;
    rd->depth++;
    rd->leaf = true;
    sluice_s3_buf_clear(&rd->text);
    const sluice_status status =
        rd->visit(rd->vctx, SLUICE_S3_XML_ENTER, rd->depth, rd->names[rd->depth - 1], "", 0);
    if (status != SLUICE_OK || last != '/') {
        return status;
    }
    return leave(rd);
}

/* Behind '</'. */
static sluice_status read_end(struct reader *rd, struct sluice_error *err)
{
    char name[SLUICE_S3_XML_NAME_MAX];
    SLUICE_TRY(read_name(rd, name, err));
    while (rd->at < rd->end && is_space(*rd->at)) {
        rd->at++;
    }
    if (rd->at == rd->end || *rd->at != '>' || rd->depth == 0 ||
        strcmp(name, rd->names[rd->depth - 1]) != 0) {
        return broken(err, "an end tag matches no start tag");
    }
    rd->at++;
    return leave(rd);
}

/* At '<'. */
static sluice_status read_markup(struct reader *rd, struct sluice_error *err)
{
    if (starts(rd, "<?")) {
        return skip_past(rd, "?>") ? SLUICE_OK : broken(err, "a declaration has no end");
    }
    if (starts(rd, "<!--")) {
        return skip_past(rd, "-->") ? SLUICE_OK : broken(err, "a comment has no end");
    }
    if (starts(rd, "<![CDATA[")) {
        const char *from = rd->at + strlen("<![CDATA[");
        if (rd->depth == 0 || !skip_past(rd, "]]>")) {
            return broken(err, "a CDATA section is misplaced or has no end");
        }
        sluice_s3_buf_add(&rd->text, from, (size_t)(rd->at - from) - strlen("]]>"));
        return SLUICE_OK;
    }
    if (starts(rd, "<!")) {
        return broken(err, "a document type is not allowed");
    }
    if (rd->done) {
        return broken(err, "more than one root element");
    }
    if (starts(rd, "</")) {
        rd->at += 2;
        return read_end(rd, err);
    }
    rd->at++;
    return read_start(rd, err);
}

sluice_status sluice_s3_xml_walk(const char *data, size_t size, sluice_s3_xml_visit visit,
                                 void *vctx, struct sluice_error *err)
{
    struct reader rd = {.at = data,
                        .end = data + size,
                        .text = {.max = SLUICE_S3_XML_TEXT_MAX},
                        .visit = visit,
                        .vctx = vctx};
    sluice_status status = SLUICE_OK;
    if (starts(&rd, "\xef\xbb\xbf")) {
        rd.at += 3;
    }
    while (status == SLUICE_OK && rd.at < rd.end) {
        if (*rd.at == '<') {
            status = read_markup(&rd, err);
        }
        else if (rd.depth == 0) {
            status = is_space(*rd.at++) ? SLUICE_OK : broken(err, "text outside the root element");
        }
        else if (*rd.at == '&') {
            status = read_entity(&rd, err);
        }
        else {
            const char *from = rd.at;
            while (rd.at < rd.end && *rd.at != '<' && *rd.at != '&') {
                rd.at++;
            }
            if (rd.leaf) {
                sluice_s3_buf_add(&rd.text, from, (size_t)(rd.at - from));
            }
        }
        if (status == SLUICE_OK && rd.text.failed) {
            status = rd.text.too_long
                         ? broken(err, "the text of an element is too long")
                         : sluice_error_set(err, SLUICE_E_NOMEM, 0, "XML answer: out of memory");
        }
    }
    if (status == SLUICE_OK && !rd.done) {
        status = broken(err, "it ends too early");
    }
    sluice_s3_buf_free(&rd.text);
    return status == SLUICE_END ? SLUICE_OK : status;
}

struct find {
    const char *name; /* NULL: the root's own name is wanted */
    char *to;
    size_t to_size;
    bool found;
};

static sluice_status find_visit(void *vctx, int event, uint32_t depth, const char *name,
                                const char *text, size_t text_size)
{
    struct find *find = vctx;
    if (find->name == NULL) {
        sluice_s3_text_copy(find->to, find->to_size, name, strlen(name));
        find->found = true;
        return SLUICE_END;
    }
    if (event == SLUICE_S3_XML_LEAVE && depth > 1 && strcmp(name, find->name) == 0) {
        sluice_s3_text_copy(find->to, find->to_size, text, text_size);
        find->found = true;
        return SLUICE_END;
    }
    return SLUICE_OK;
}

bool sluice_s3_xml_find(const char *data, size_t size, const char *name, char *to, size_t to_size)
{
    struct find find = {name, to, to_size, false};
    const sluice_status status = sluice_s3_xml_walk(data, size, find_visit, &find, NULL);
    return status == SLUICE_OK && find.found;
}

bool sluice_s3_xml_root(const char *data, size_t size, char *to, size_t to_size)
{
    return sluice_s3_xml_find(data, size, NULL, to, to_size);
}

static sluice_status ignore_visit(void *vctx, int event, uint32_t depth, const char *name,
                                  const char *text, size_t text_size)
{
    (void)vctx;
    (void)event;
    (void)depth;
    (void)name;
    (void)text;
    (void)text_size;
    return SLUICE_OK;
}

bool sluice_s3_xml_valid(const char *data, size_t size)
{
    return sluice_s3_xml_walk(data, size, ignore_visit, NULL, NULL) == SLUICE_OK;
}
