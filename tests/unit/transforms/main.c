/* Tests of the transforms that come with sluice. */
#include "fixture.h"

#include <stdlib.h>

static sluice_status keep(void *vctx, const struct sluice_stream_desc *desc,
                          const struct sluice_error *problem)
{
    struct fixture *f = vctx;
    assert_null(problem);
    assert_null(f->desc);
    f->desc = sluice_stream_desc_copy(desc);
    return SLUICE_OK;
}

static uint32_t count_pairs(const struct sluice_pair *set)
{
    uint32_t n = 0;
    while (set[n].key != NULL) {
        n++;
    }
    return n;
}

void fixture_open(struct fixture *f, const struct sluice_plugin *plugin,
                  const struct sluice_pair *set)
{
    memset(f, 0, sizeof *f);
    sluice_error_clear(&f->err);
    const struct sluice_component *component = sluice_testkit_component(plugin, NULL);
    f->host = sluice_testkit_host_new(component, set, count_pairs(set), &f->err);
    assert_string_equal(f->err.message, "");
    f->api = component->transform;
    sluice_status st = f->api->create(sluice_testkit_host_table(f->host), &f->xf, &f->err);
    assert_string_equal(f->err.message, "");
    assert_int_equal(st, SLUICE_OK);
}

void fixture_open_fails(struct fixture *f, const struct sluice_plugin *plugin,
                        const struct sluice_pair *set)
{
    memset(f, 0, sizeof *f);
    sluice_error_clear(&f->err);
    const struct sluice_component *component = sluice_testkit_component(plugin, NULL);
    f->host = sluice_testkit_host_new(component, set, count_pairs(set), &f->err);
    assert_non_null(f->host);
    f->api = component->transform;
    assert_true(f->api->create(sluice_testkit_host_table(f->host), &f->xf, &f->err) < 0);
    assert_null(f->xf);
    sluice_testkit_host_free(f->host);
}

static void drop_bound(struct fixture *f)
{
    sluice_schema_release(&f->envelope);
    sluice_stream_desc_free(f->desc);
    f->desc = NULL;
}

sluice_status fixture_bind(struct fixture *f, const struct sluice_stream_desc *in)
{
    drop_bound(f);
    sluice_error_clear(&f->err);
    sluice_status st = f->api->bind(f->xf, in, keep, f, &f->err);
    if (st >= 0 && f->desc != NULL) {
        assert_int_equal(f->desc->stream_id, in->stream_id);
        assert_int_equal(f->desc->schema_id, in->schema_id);
        assert_int_equal(sluice_schema_envelope(f->desc, &f->envelope, NULL), SLUICE_OK);
    }
    return st;
}

void fixture_pass(struct fixture *f, struct sluice_batch *in, struct sluice_batch *out)
{
    memset(out, 0, sizeof *out);
    out->struct_size = (uint32_t)sizeof *out;
    assert_int_equal(f->api->pull(f->xf, out, &f->err), SLUICE_AGAIN);
    sluice_status st = f->api->push(f->xf, in, &f->err);
    assert_string_equal(f->err.message, "");
    assert_int_equal(st, SLUICE_OK);
    assert_null(in->array.release);
    assert_int_equal(f->api->pull(f->xf, out, &f->err), SLUICE_OK);
    assert_int_equal(out->rows, in->rows);
    assert_int_equal(out->array.length, in->rows);
    const struct ArrowSchema *schema =
        out->kind == SLUICE_BATCH_ROWS ? f->desc->schema : &f->envelope;
    st = sluice_array_check(schema, &out->array, SLUICE_CHECK_FULL, &f->err);
    assert_string_equal(f->err.message, "");
    assert_int_equal(st, SLUICE_OK);
    struct sluice_batch none = {.struct_size = (uint32_t)sizeof none};
    assert_int_equal(f->api->pull(f->xf, &none, &f->err), SLUICE_AGAIN);
}

void fixture_close(struct fixture *f)
{
    drop_bound(f);
    f->api->destroy(f->xf);
    sluice_testkit_host_free(f->host);
}

int64_t fixture_column(const struct fixture *f, const char *name)
{
    for (int64_t i = 0; i < f->desc->schema->n_children; i++) {
        if (strcmp(f->desc->schema->children[i]->name, name) == 0) {
            return i;
        }
    }
    fail_msg("no column %s", name);
    return -1;
}

int main(void)
{
    int failed = run_mask_tests() + run_project_tests() + run_changes_tests();
    return failed == 0 ? 0 : 1;
}
