/* The host table. */
#include "test_plugin.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "base/failpoint.h"
#include "base/str.h"
#include "log/log.h"
#include "plugin/host.h"
#include "sluice/failpoint.h"
#include "sluice/option.h"

static struct sluice_str lines;

static void collect(void *ctx, const char *line, uint64_t size)
{
    (void)ctx;
    sluice_str_append_n(&lines, line, (size_t)size);
    sluice_str_append_char(&lines, '\n');
}

struct setting {
    struct sluice_cancel cancel;
    struct sluice_budget budget;
    struct sluice_metrics *metrics;
    struct sluice_config *config;
    struct sluice_host_instance *instance;
    const struct sluice_host *host;
};

static const struct sluice_option option_name =
    SLUICE_OPT(SLUICE_OPTION_STRING, "name", "x", 0, "A name.");
static const struct sluice_option option_size =
    SLUICE_OPT(SLUICE_OPTION_SIZE, "size", "4KiB", 0, "A size.");
static const struct sluice_option *const options[] = {&option_name, &option_size, NULL};

static void setting_make(struct setting *s, int bare)
{
    memset(s, 0, sizeof *s);
    sluice_log_setup(SLUICE_LOG_INFO, SLUICE_LOG_FORMAT_TEXT, 0);
    sluice_log_redirect(collect, NULL);
    assert_int_equal(sluice_cancel_init(&s->cancel, NULL), SLUICE_OK);
    sluice_budget_init(&s->budget, 1000);
    if (!bare) {
        struct sluice_diags diags;
        sluice_diags_init(&diags, "test");
        s->metrics = sluice_metrics_create();
        s->config = sluice_config_from_pairs(options, NULL, 0, &diags);
        assert_non_null(s->config);
        sluice_diags_free(&diags);
    }
    struct sluice_host_params params = {"lake", s->config, &s->cancel, bare ? NULL : &s->budget,
                                        s->metrics};
    assert_int_equal(sluice_host_create(&params, &s->instance, NULL), SLUICE_OK);
    s->host = sluice_host_table(s->instance);
}

static void setting_free(struct setting *s)
{
    sluice_host_destroy(s->instance);
    sluice_config_free(s->config);
    sluice_metrics_destroy(s->metrics);
    sluice_budget_free(&s->budget);
    sluice_cancel_free(&s->cancel);
    sluice_log_flush();
    sluice_log_redirect(NULL, NULL);
    sluice_log_setup(0, SLUICE_LOG_FORMAT_TEXT, 0);
    sluice_str_free(&lines);
}

static void table_is_whole(void **state)
{
    (void)state;
    struct setting s;
    setting_make(&s, 0);
    assert_int_equal(s.host->struct_size, sizeof(struct sluice_host));
    assert_int_equal(s.host->abi_minor, SLUICE_ABI_MINOR);
    s.host->log(s.host->ctx, SLUICE_LOG_INFO, "uploaded parts=3", 16);
    s.host->log(s.host->ctx, 99, "trace", 5);
    s.host->log(s.host->ctx, -5, "worst", 5);
    s.host->log(s.host->ctx, SLUICE_LOG_INFO, NULL, 5);
    assert_non_null(strstr(lines.data, "INFO  lake uploaded parts=3\n"));
    assert_non_null(strstr(lines.data, "ERROR lake worst\n"));
    assert_null(strstr(lines.data, "trace"));
    assert_int_equal(s.host->log_enabled(s.host->ctx, SLUICE_LOG_DEBUG), 0);
    assert_int_equal(s.host->log_enabled(s.host->ctx, SLUICE_LOG_INFO), 1);
    assert_true(s.host->now_us(s.host->ctx, SLUICE_CLOCK_WALL) > 0);
    assert_null(s.host->extension(s.host->ctx, "sluice.none/1"));
    assert_int_equal(s.host->cancelled(s.host->ctx), 0);
    sluice_cancel_raise(&s.cancel);
    assert_int_equal(s.host->cancelled(s.host->ctx), 1);
    struct pollfd pfd = {s.host->cancel_fd(s.host->ctx), POLLIN, 0};
    assert_int_equal(poll(&pfd, 1, 0), 1);
    setting_free(&s);
}

static void config_is_read(void **state)
{
    (void)state;
    struct setting s;
    struct sluice_value value;
    setting_make(&s, 0);
    memset(&value, 0, sizeof value);
    value.struct_size = (uint32_t)sizeof value;
    assert_int_equal(s.host->config_get(s.host->ctx, "size", &value), SLUICE_OK);
    assert_int_equal(value.number, 4096);
    assert_int_equal(value.struct_size, sizeof value);
    assert_int_equal(s.host->config_get(s.host->ctx, "none", &value), SLUICE_E_NOT_FOUND);
    assert_int_equal(s.host->config_get(s.host->ctx, NULL, &value), SLUICE_E_INVALID);
    assert_int_equal(s.host->config_get(s.host->ctx, "size", NULL), SLUICE_E_INVALID);
    /* A plugin of another minor has a smaller struct: nothing behind it is touched. */
    memset(&value, 0x5a, sizeof value);
    value.struct_size = (uint32_t)offsetof(struct sluice_value, string);
    assert_int_equal(s.host->config_get(s.host->ctx, "size", &value), SLUICE_OK);
    assert_int_equal(value.number, 4096);
    assert_int_equal(value.struct_size, offsetof(struct sluice_value, string));
    assert_int_equal(((const unsigned char *)&value.string)[0], 0x5a);
    value.struct_size = 0;
    assert_int_equal(s.host->config_get(s.host->ctx, "size", &value), SLUICE_E_INVALID);
    setting_free(&s);
    setting_make(&s, 1);
    value.struct_size = (uint32_t)sizeof value;
    assert_int_equal(s.host->config_get(s.host->ctx, "size", &value), SLUICE_E_NOT_FOUND);
    setting_free(&s);
}

static void memory_is_kept_and_given_back(void **state)
{
    (void)state;
    struct setting s;
    setting_make(&s, 0);
    assert_int_equal(s.host->memory(s.host->ctx, 600, 0), 1);
    assert_int_equal(s.host->memory(s.host->ctx, 600, 0), 0);
    assert_int_equal(s.host->memory(s.host->ctx, 600, 1), 1);
    assert_int_equal(sluice_budget_used(&s.budget), 1200);
    assert_int_equal(s.host->memory(s.host->ctx, -600, 0), 1);
    assert_int_equal(s.host->memory(s.host->ctx, 0, 0), 1);
    assert_int_equal(sluice_budget_used(&s.budget), 600);
    /* Another's share is not given away. */
    assert_int_equal(sluice_budget_take(&s.budget, 100, 1), 1);
    assert_int_equal(s.host->memory(s.host->ctx, -700, 0), 1);
    assert_int_equal(sluice_budget_used(&s.budget), 100);
    assert_non_null(strstr(lines.data, "gives back more memory"));
    assert_int_equal(s.host->memory(s.host->ctx, INT64_MIN, 0), 1);
    assert_int_equal(sluice_budget_used(&s.budget), 100);
    assert_int_equal(s.host->memory(s.host->ctx, 300, 0), 1);
    sluice_host_destroy(s.instance);
    s.instance = NULL;
    assert_int_equal(sluice_budget_used(&s.budget), 100);
    assert_non_null(strstr(lines.data, "still held memory of the budget bytes=300"));
    setting_free(&s);
    setting_make(&s, 1); /* no budget: everything is granted */
    assert_int_equal(s.host->memory(s.host->ctx, INT64_MAX, 0), 1);
    assert_int_equal(s.host->memory(s.host->ctx, -INT64_MAX, 0), 1);
    setting_free(&s);
}

static void realloc_is_counted(void **state)
{
    (void)state;
    struct setting s;
    setting_make(&s, 0);
    char *p = s.host->realloc(s.host->ctx, NULL, 10);
    memcpy(p, "123456789", 10);
    p = s.host->realloc(s.host->ctx, p, 100000);
    assert_string_equal(p, "123456789");
    assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
    assert_null(s.host->realloc(s.host->ctx, p, UINT64_MAX));
    sluice_alloc_fail_at(1, 0);
    assert_null(s.host->realloc(s.host->ctx, p, 200000));
    sluice_alloc_fail_at(0, 0);
    assert_null(s.host->realloc(s.host->ctx, p, 0));
    assert_null(s.host->realloc(s.host->ctx, NULL, 0));
    p = s.host->realloc(s.host->ctx, NULL, 7);
    void *block = p;
    sluice_host_destroy(s.instance);
    s.instance = NULL;
    assert_non_null(strstr(lines.data, "did not free what it allocated bytes=7"));
    sluice_free((char *)block - 16); /* the leak of the test itself */
    setting_free(&s);
}

static void metrics_are_labelled(void **state)
{
    (void)state;
    struct setting s;
    struct sluice_str out = SLUICE_STR_INIT;
    setting_make(&s, 0);
    struct sluice_metric *m =
        s.host->metric(s.host->ctx, SLUICE_METRIC_COUNTER, "requests", NULL, "Requests");
    s.host->metric_add(m, 3);
    s.host->metric_set(NULL, 3);
    sluice_metrics_expose(s.metrics, &out);
    assert_non_null(strstr(out.data, "sluice_requests_total{node=\"lake\"} 3\n"));
    sluice_str_free(&out);
    setting_free(&s);
    setting_make(&s, 1);
    assert_null(s.host->metric(s.host->ctx, SLUICE_METRIC_COUNTER, "requests", NULL, NULL));
    setting_free(&s);
}

static void *use(void *ctx)
{
    const struct sluice_host *host = ctx;
    for (int i = 0; i < 2000; i++) {
        void *p = host->realloc(host->ctx, NULL, 32);
        if (host->memory(host->ctx, 100, 0)) {
            (void)host->memory(host->ctx, -100, 0);
        }
        (void)host->cancelled(host->ctx);
        (void)host->realloc(host->ctx, p, 0);
    }
    return NULL;
}

static void threads_share(void **state)
{
    (void)state;
    struct setting s;
    pthread_t threads[4];
    setting_make(&s, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, use, (void *)(uintptr_t)s.host), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(sluice_budget_used(&s.budget), 0);
    sluice_host_destroy(s.instance);
    s.instance = NULL;
    assert_string_equal(sluice_str_text(&lines), "");
    setting_free(&s);
}

static void failpoints_reach_plugins(void **state)
{
    (void)state;
    struct setting s;
    struct sluice_error err = SLUICE_ERROR_INIT;
    setting_make(&s, 0);
    const struct sluice_failpoint_extension *fp = sluice_failpoints_of(s.host);
    assert_non_null(fp);
    assert_int_equal(fp->struct_size, sizeof *fp);
    assert_int_equal(sluice_failpoint_hit(fp, "p.a", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoints_arm("p.a=error@2,p.b=fatal,p.c=torn", NULL), SLUICE_OK);
    assert_int_equal(sluice_failpoint_hit(fp, "p.a", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint_hit(fp, "p.a", &err), SLUICE_E_IO);
    assert_int_equal(err.flags, SLUICE_ERROR_RETRYABLE);
    assert_int_equal(sluice_failpoint_hit(fp, "p.b", &err), SLUICE_E_IO);
    assert_int_equal(err.flags, 0);
    assert_int_equal(sluice_failpoint_hit(fp, "p.c", &err), SLUICE_OK);
    assert_int_equal(sluice_failpoint_torn(fp, "p.c"), 1);
    assert_int_equal(sluice_failpoint_torn(fp, "p.b"), 0);
    assert_int_equal(fp->hit(NULL, &err), SLUICE_OK);
    assert_int_equal(fp->torn(NULL), 0);
    assert_int_equal(sluice_failpoints_arm(NULL, NULL), SLUICE_OK);
    assert_int_equal(sluice_failpoint_torn(fp, "p.c"), 0);
    assert_int_equal(sluice_failpoint_hit(NULL, "p.a", &err), SLUICE_OK);
    assert_null(s.host->extension(s.host->ctx, NULL));
    setting_free(&s);
}

static void survives_failures(void **state)
{
    (void)state;
    struct sluice_cancel cancel = {0, -1};
    struct sluice_host_params params = {"n", NULL, &cancel, NULL, NULL};
    for (long n = 1; n <= 2; n++) {
        struct sluice_host_instance *instance = NULL;
        sluice_alloc_fail_at(n, 0);
        assert_int_equal(sluice_host_create(&params, &instance, NULL), SLUICE_E_NOMEM);
        sluice_alloc_fail_at(0, 0);
    }
    sluice_host_destroy(NULL);
}

int run_host_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_whole),
        cmocka_unit_test(config_is_read),
        cmocka_unit_test(memory_is_kept_and_given_back),
        cmocka_unit_test(realloc_is_counted),
        cmocka_unit_test(metrics_are_labelled),
        cmocka_unit_test(threads_share),
        cmocka_unit_test(failpoints_reach_plugins),
        cmocka_unit_test(survives_failures),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
