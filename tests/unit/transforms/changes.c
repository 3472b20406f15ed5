/* Both transforms between a feed of changes and its sinks: key changes, versions of the columns,
 * and the batches that are no rows. */
#include "fixture.h"

#include <openssl/evp.h>
#include <stdio.h>

/* public.account (region text, id bigint, secret text, note text), key (id, region). */
struct account {
    struct ArrowSchema schema;
    struct ArrowSchema envelope;
    struct sluice_stream_desc desc;
    uint32_t keys[2];
};

enum { REGION = 0, ID = 1, SECRET = 2, NOTE = 3 };

static void account_make(struct account *t, int32_t before, const char *secret_name)
{
    static const struct sluice_type text = {SLUICE_TYPE_UTF8, 0, 0, 0};
    static const struct sluice_type number = {SLUICE_TYPE_INT64, 0, 0, 8};
    static const char *const parts[] = {"public", "account"};
    memset(t, 0, sizeof *t);
    assert_int_equal(sluice_schema_init(&t->schema, 4, NULL), SLUICE_OK);
    assert_int_equal(sluice_schema_set(&t->schema, REGION, "region", &text, 0, NULL, 0, NULL), 0);
    assert_int_equal(sluice_schema_set(&t->schema, ID, "id", &number, 0, NULL, 0, NULL), 0);
    assert_int_equal(sluice_schema_set(&t->schema, SECRET, secret_name, &text, 0, NULL, 0, NULL),
                     0);
    assert_int_equal(sluice_schema_set(&t->schema, NOTE, "note", &text, 1, NULL, 0, NULL), 0);
    t->keys[0] = ID;
    t->keys[1] = REGION;
    t->desc = (struct sluice_stream_desc){
        .struct_size = (uint32_t)sizeof t->desc,
        .kind = SLUICE_STREAM_TABLE,
        .flags = SLUICE_STREAM_CAN_CHANGES,
        .before = before,
        .stream_id = 9,
        .schema_id = 1,
        .name = "public.account",
        .part_count = 2,
        .key_count = 2,
        .parts = parts,
        .keys = t->keys,
        .schema = &t->schema,
        .rows_estimate = -1,
        .bytes_estimate = -1,
    };
    assert_int_equal(sluice_schema_envelope(&t->desc, &t->envelope, NULL), SLUICE_OK);
}

static void account_free(struct account *t)
{
    sluice_schema_release(&t->schema);
    sluice_schema_release(&t->envelope);
}

static void put_text(struct sluice_column *c, const char *text)
{
    assert_int_equal(text != NULL ? sluice_column_put_bytes(c, text, strlen(text), NULL)
                                  : sluice_column_put_null(c, NULL),
                     SLUICE_OK);
}

/* What `before` holds of a row: its key in key order, or all. */
static void put_before(const struct account *t, struct sluice_column *c, const char *region,
                       int64_t id)
{
    if (t->desc.before == SLUICE_BEFORE_KEY) {
        sluice_column_put_i64(&c->children[0], id);
        put_text(&c->children[1], region);
    }
    else if (t->desc.before == SLUICE_BEFORE_FULL) {
        put_text(&c->children[REGION], region);
        sluice_column_put_i64(&c->children[ID], id);
        put_text(&c->children[SECRET], "old secret");
        put_text(&c->children[NOTE], NULL);
    }
    sluice_column_end_struct(c);
}

/* Three rows: I (eu, 1); U of the key (eu, 1) → (us, 2) with `secret` not sent unless the old row
 * was; D (us, 2). */
static void account_changes(const struct account *t, struct sluice_batch *out)
{
    static const char ops[] = {'I', 'U', 'D'};
    struct sluice_rows rows;
    int32_t full = t->desc.before == SLUICE_BEFORE_FULL;
    assert_int_equal(sluice_rows_init(&rows, &t->envelope, 8, NULL), SLUICE_OK);
    struct sluice_column *c = rows.columns;
    for (int64_t i = 0; i < 3; i++) {
        sluice_column_put_i8(&c[0], ops[i]);
        put_text(&c[1], "12345678");
        sluice_column_put_i64(&c[2], i + 1);
        sluice_column_put_i64(&c[3], 1700000000000000);
        put_text(&c[4], "77");
        if (i == 0) {
            put_text(&c[5], NULL);
        }
        else {
            put_before(t, &c[5], i == 1 ? "eu" : "us", i);
        }
        if (i == 2) {
            put_text(&c[6], NULL);
        }
        else {
            put_text(&c[6].children[REGION], i == 0 ? "eu" : "us");
            sluice_column_put_i64(&c[6].children[ID], i + 1);
            put_text(&c[6].children[SECRET], i == 0 ? "secret" : full ? "old secret" : NULL);
            put_text(&c[6].children[NOTE], NULL);
            sluice_column_end_struct(&c[6]);
        }
        if (i == 1 && !full) {
            uint8_t bits = 1u << SECRET;
            assert_int_equal(sluice_column_put_bytes(&c[7], &bits, 1, NULL), SLUICE_OK);
        }
        else {
            put_text(&c[7], NULL);
        }
        sluice_rows_end_row(&rows);
    }
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = SLUICE_BATCH_CHANGES;
    out->flags = SLUICE_BATCH_COMMIT_BOUNDARY;
    out->stream_id = t->desc.stream_id;
    out->schema_id = t->desc.schema_id;
    out->rows = 3;
    out->position = (struct sluice_bytes){"12345678", 8};
    assert_int_equal(sluice_rows_finish(&rows, &out->array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
}

static void expect_hash(const struct sluice_view *v, int64_t row, const char *text)
{
    uint8_t digest[32];
    char hex[65];
    unsigned size = 0;
    assert_int_equal(EVP_Digest(text, strlen(text), digest, &size, EVP_sha256(), NULL), 1);
    for (unsigned i = 0; i < size; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
    assert_int_equal(sluice_view_bytes(v, row).size, 64);
    assert_memory_equal(sluice_view_bytes(v, row).data, hex, 64);
}

static void keys_are_masked_before_and_after_alike(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {
        {"columns", "region"}, {"columns", "public.account.id"}, {"with", "sha256"}, {NULL, NULL}};
    for (int32_t before = SLUICE_BEFORE_KEY; before <= SLUICE_BEFORE_FULL; before++) {
        struct fixture f;
        struct account t;
        struct sluice_batch in;
        struct sluice_batch out;
        struct sluice_change_view cv;
        account_make(&t, before, "secret");
        account_changes(&t, &in);
        fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        assert_int_equal(f.desc->key_count, 2);
        assert_int_equal(f.desc->keys[0], ID);
        fixture_pass(&f, &in, &out);
        assert_int_equal(out.flags, SLUICE_BATCH_COMMIT_BOUNDARY);
        assert_memory_equal(out.position.data, "12345678", 8);
        assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
        expect_hash(sluice_change_key(&cv, 0, 0, 0), 0, "1");
        expect_hash(sluice_change_key(&cv, 0, 1, 0), 0, "eu");
        expect_hash(sluice_change_key(&cv, 1, 0, 1), 1, "1");
        expect_hash(sluice_change_key(&cv, 1, 1, 1), 1, "eu");
        expect_hash(sluice_change_key(&cv, 1, 0, 0), 1, "2");
        expect_hash(sluice_change_key(&cv, 1, 1, 0), 1, "us");
        expect_hash(sluice_change_key(&cv, 2, 0, 1), 2, "2");
        expect_hash(sluice_change_key(&cv, 2, 1, 1), 2, "us");
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, SECRET), before == SLUICE_BEFORE_KEY);
        assert_true(sluice_view_is_null(&cv.after, 2));
        assert_true(sluice_view_is_null(&cv.before, 0));
        sluice_change_view_free(&cv);
        sluice_array_release(&out.array);
        fixture_close(&f);
        account_free(&t);
    }
}

static void unchanged_is_not_masked(void **state)
{
    (void)state;
    static const char *const with[] = {"sha256", "redact", "nullify", "truncate", "keep_last"};
    for (size_t i = 0; i < sizeof with / sizeof with[0]; i++) {
        const struct sluice_pair set[] = {{"columns", "secret"}, {"with", with[i]}, {NULL, NULL}};
        struct fixture f;
        struct account t;
        struct sluice_batch in;
        struct sluice_batch out;
        struct sluice_change_view cv;
        account_make(&t, SLUICE_BEFORE_KEY, "secret");
        account_changes(&t, &in);
        fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        fixture_pass(&f, &in, &out);
        assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, SECRET), 1);
        assert_true(sluice_view_is_null(&cv.columns[SECRET], 1));
        assert_int_equal(sluice_view_is_null(&cv.columns[SECRET], 0), i == 2);
        sluice_change_view_free(&cv);
        sluice_array_release(&out.array);
        fixture_close(&f);
        account_free(&t);
    }
}

/* A part of a key would make rows look alike. */
static void half_a_key_is_none(void **state)
{
    (void)state;
    const struct sluice_pair refused[] = {{"exclude", "region"}, {NULL, NULL}};
    const struct sluice_pair asked[] = {{"exclude", "region"}, {"drop_keys", "true"}, {NULL, NULL}};
    for (int32_t before = SLUICE_BEFORE_KEY; before <= SLUICE_BEFORE_FULL; before++) {
        struct fixture f;
        struct account t;
        struct sluice_batch in;
        struct sluice_batch out;
        struct sluice_change_view cv;
        account_make(&t, before, "secret");
        account_changes(&t, &in);
        fixture_open(&f, sluice_plugin_project_entry_v0(), refused);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        assert_int_equal(f.desc->flags & SLUICE_STREAM_CAN_CHANGES, 0);
        assert_int_equal(f.api->push(f.xf, &in, &f.err), SLUICE_E_INVALID);
        fixture_close(&f);
        fixture_open(&f, sluice_plugin_project_entry_v0(), asked);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        assert_int_equal(f.desc->flags & SLUICE_STREAM_CAN_CHANGES, SLUICE_STREAM_CAN_CHANGES);
        assert_int_equal(f.desc->key_count, 0);
        assert_int_equal(f.desc->before, before == SLUICE_BEFORE_FULL ? before : 0);
        fixture_pass(&f, &in, &out);
        assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
        assert_int_equal(cv.column_count, 3);
        assert_int_equal(sluice_change_is_unchanged(&cv, 1, 1), before == SLUICE_BEFORE_KEY);
        sluice_change_view_free(&cv);
        sluice_array_release(&out.array);
        fixture_close(&f);
        account_free(&t);
    }
}

/* The first five fields of the envelope, one row of op 'T'. */
static void truncate_batch(const struct account *t, struct ArrowSchema *schema,
                           struct sluice_batch *out)
{
    struct sluice_rows rows;
    assert_int_equal(sluice_schema_init(schema, 5, NULL), SLUICE_OK);
    for (int64_t i = 0; i < 5; i++) {
        assert_int_equal(sluice_schema_put(schema, i, t->envelope.children[i], NULL, -1, NULL), 0);
    }
    assert_int_equal(sluice_rows_init(&rows, schema, 1, NULL), SLUICE_OK);
    sluice_column_put_i8(&rows.columns[0], 'T');
    put_text(&rows.columns[1], "12345678");
    sluice_column_put_i64(&rows.columns[2], 4);
    sluice_column_put_i64(&rows.columns[3], 1700000000000000);
    put_text(&rows.columns[4], "78");
    sluice_rows_end_row(&rows);
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    out->kind = SLUICE_BATCH_TRUNCATE;
    out->stream_id = t->desc.stream_id;
    out->schema_id = t->desc.schema_id;
    out->rows = 1;
    assert_int_equal(sluice_rows_finish(&rows, &out->array, NULL), SLUICE_OK);
    sluice_rows_free(&rows);
}

static void pass_plain(struct fixture *f, struct sluice_batch *in, struct sluice_batch *out)
{
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    assert_int_equal(f->api->push(f->xf, in, &f->err), SLUICE_OK);
    assert_null(in->array.release);
    assert_int_equal(f->api->pull(f->xf, out, &f->err), SLUICE_OK);
    assert_int_equal(out->kind, in->kind);
    assert_int_equal(f->api->flush(f->xf, &f->err), SLUICE_OK);
    assert_int_equal(f->api->pull(f->xf, in, &f->err), SLUICE_AGAIN);
}

static void batches_without_rows_pass(void **state)
{
    (void)state;
    const struct sluice_pair mask[] = {{"columns", "secret"}, {"with", "redact"}, {NULL, NULL}};
    const struct sluice_pair project[] = {{"exclude", "note"}, {"rename", "id=no"}, {NULL, NULL}};
    for (int i = 0; i < 2; i++) {
        struct fixture f;
        struct account t;
        struct ArrowSchema schema;
        struct sluice_batch in;
        struct sluice_batch out;
        account_make(&t, SLUICE_BEFORE_KEY, "secret");
        fixture_open(&f, i == 0 ? sluice_plugin_mask_entry_v0() : sluice_plugin_project_entry_v0(),
                     i == 0 ? mask : project);
        /* Before anything is bound: positions move without a stream. */
        memset(&in, 0, sizeof in);
        in.struct_size = (uint32_t)sizeof in;
        in.kind = SLUICE_BATCH_HEARTBEAT;
        in.flags = SLUICE_BATCH_COMMIT_BOUNDARY;
        in.position = (struct sluice_bytes){"12345679", 8};
        pass_plain(&f, &in, &out);
        assert_int_equal(out.flags, SLUICE_BATCH_COMMIT_BOUNDARY);
        assert_memory_equal(out.position.data, "12345679", 8);
        assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
        truncate_batch(&t, &schema, &in);
        pass_plain(&f, &in, &out);
        assert_int_equal(out.array.n_children, 5);
        assert_int_equal(sluice_array_check(&schema, &out.array, SLUICE_CHECK_FULL, &f.err), 0);
        sluice_array_release(&out.array);
        sluice_schema_release(&schema);
        fixture_close(&f);
        account_free(&t);
    }
}

/* Bound anew: rows of the new version take its shape, those of the old one are still known. */
static void versions_are_kept_apart(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"columns", "*secret"}, {"with", "redact"}, {NULL, NULL}};
    struct fixture f;
    struct account old;
    struct account new;
    struct sluice_batch in;
    struct sluice_batch out;
    struct sluice_change_view cv;
    account_make(&old, SLUICE_BEFORE_KEY, "secret");
    account_make(&new, SLUICE_BEFORE_FULL, "top_secret");
    new.desc.schema_id = 2;
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &old.desc), SLUICE_OK);
    account_changes(&old, &in);
    fixture_pass(&f, &in, &out);
    sluice_array_release(&out.array);
    assert_int_equal(fixture_bind(&f, &new.desc), SLUICE_OK);
    memset(&in, 0, sizeof in);
    in.struct_size = (uint32_t)sizeof in;
    in.kind = SLUICE_BATCH_SCHEMA;
    in.stream_id = 9;
    in.schema_id = 2;
    in.desc = &new.desc;
    pass_plain(&f, &in, &out);
    assert_string_equal(out.desc->schema->children[SECRET]->name, "top_secret");
    assert_true(
        sluice_schema_metadata_is(out.desc->schema->children[SECRET], "sluice:masked", "redact"));
    account_changes(&new, &in);
    fixture_pass(&f, &in, &out);
    assert_int_equal(sluice_change_view_init(&cv, f.desc, &out, NULL), SLUICE_OK);
    assert_memory_equal(sluice_view_bytes(&cv.columns[SECRET], 0).data, "***", 3);
    assert_memory_equal(sluice_view_bytes(&cv.old[SECRET], 2).data, "***", 3);
    sluice_change_view_free(&cv);
    sluice_array_release(&out.array);
    assert_string_equal(sluice_testkit_host_log(f.host), "");
    fixture_close(&f);
    account_free(&old);
    account_free(&new);
}

static void a_renamed_column_is_warned_of(void **state)
{
    (void)state;
    const struct sluice_pair set[] = {{"columns", "*.sec*"}, {"with", "redact"}, {NULL, NULL}};
    struct fixture f;
    struct account t;
    account_make(&t, SLUICE_BEFORE_KEY, "secret");
    fixture_open(&f, sluice_plugin_mask_entry_v0(), set);
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_string_equal(sluice_testkit_host_log(f.host), "");
    account_free(&t);
    account_make(&t, SLUICE_BEFORE_KEY, "hidden");
    t.desc.schema_id = 2;
    assert_int_equal(fixture_bind(&f, &t.desc), SLUICE_OK);
    assert_non_null(strstr(sluice_testkit_host_log(f.host), "passes unmasked"));
    assert_non_null(strstr(sluice_testkit_host_log(f.host), "public.account"));
    fixture_close(&f);
    account_free(&t);
}

int run_changes_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_masked_before_and_after_alike),
        cmocka_unit_test(unchanged_is_not_masked),
        cmocka_unit_test(half_a_key_is_none),
        cmocka_unit_test(batches_without_rows_pass),
        cmocka_unit_test(versions_are_kept_apart),
        cmocka_unit_test(a_renamed_column_is_warned_of),
    };
    return cmocka_run_group_tests_name("changes", tests, NULL, NULL);
}
