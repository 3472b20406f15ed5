/* Metrics: names, exposition, threads, failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/alloc.h"
#include "metrics/metrics.h"

static void made_once(void **state)
{
    (void)state;
    struct sluice_metrics *m = sluice_metrics_create();
    struct sluice_metric *rows =
        sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "hr", "rows", NULL, "Rows read");
    assert_non_null(rows);
    assert_ptr_equal(rows, sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "hr", "rows", "", "other"));
    assert_ptr_not_equal(rows,
                         sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "lake", "rows", NULL, NULL));
    /* Another kind cannot have the exposed name. */
    assert_non_null(sluice_metrics_get(m, SLUICE_METRIC_GAUGE, "hr", "rows", NULL, NULL));
    assert_null(sluice_metrics_get(m, SLUICE_METRIC_GAUGE, "x", "rows_total", NULL, NULL));
    assert_null(sluice_metrics_get(m, 7, "hr", "bad", NULL, NULL));
    assert_null(sluice_metrics_get(m, SLUICE_METRIC_GAUGE, "hr", "", NULL, NULL));
    assert_null(sluice_metrics_get(NULL, SLUICE_METRIC_GAUGE, "hr", "x", NULL, NULL));
    sluice_metric_add(rows, 5);
    sluice_metric_add(rows, -2);
    assert_int_equal(sluice_metric_value(rows), 3);
    sluice_metric_set(rows, INT64_MAX);
    sluice_metric_add(rows, 1); /* wraps, no undefined behaviour */
    assert_true(sluice_metric_value(rows) == INT64_MIN);
    sluice_metric_add(NULL, 1);
    sluice_metric_set(NULL, 1);
    assert_int_equal(sluice_metric_value(NULL), 0);
    sluice_metrics_destroy(m);
    sluice_metrics_destroy(NULL);
}

static void exposition(void **state)
{
    (void)state;
    struct sluice_metrics *m = sluice_metrics_create();
    struct sluice_str out = SLUICE_STR_INIT;
    sluice_metric_add(
        sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "hr", "read", "bytes", "Bytes\nread \\"), 10);
    sluice_metric_set(sluice_metrics_get(m, SLUICE_METRIC_GAUGE, NULL, "memory_bytes", "bytes", ""),
                      7);
    sluice_metric_add(sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "a\"b", "read", "bytes", NULL),
                      1);
    sluice_metric_add(
        sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "x", "put requests-total", NULL, NULL), 2);
    sluice_metrics_expose(m, &out);
    assert_string_equal(sluice_str_text(&out), "# HELP sluice_read_bytes_total Bytes\\nread \\\\\n"
                                               "# TYPE sluice_read_bytes_total counter\n"
                                               "sluice_read_bytes_total{node=\"hr\"} 10\n"
                                               "sluice_read_bytes_total{node=\"a\\\"b\"} 1\n"
                                               "# TYPE sluice_memory_bytes gauge\n"
                                               "sluice_memory_bytes 7\n"
                                               "# TYPE sluice_put_requests_total counter\n"
                                               "sluice_put_requests_total{node=\"x\"} 2\n");
    sluice_str_free(&out);
    sluice_metrics_destroy(m);
}

static void survives_failures(void **state)
{
    (void)state;
    int succeeded = 0;
    for (long n = 1; n < 100 && !succeeded; n++) {
        sluice_alloc_fail_at(n, 0);
        struct sluice_metrics *m = sluice_metrics_create();
        int made = 0;
        for (int i = 0; m != NULL && i < 3; i++) {
            static const char *const names[] = {"one", "two", "three"};
            made +=
                sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "n", names[i], "unit", "help") != NULL;
        }
        sluice_alloc_fail_at(0, 0);
        succeeded = made == 3;
        sluice_metrics_destroy(m);
    }
    assert_true(succeeded);
}

static void *count(void *ctx)
{
    for (int i = 0; i < 20000; i++) {
        struct sluice_metric *metric = NULL;
        if (i % 1000 == 0) {
            metric = sluice_metrics_get(ctx, SLUICE_METRIC_COUNTER, "n", "shared", NULL, NULL);
            sluice_metric_add(metric, 1000);
        }
        if (i % 5000 == 0) {
            struct sluice_str out = SLUICE_STR_INIT;
            sluice_metrics_expose(ctx, &out);
            sluice_str_free(&out);
        }
    }
    return NULL;
}

static void threads_share(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct sluice_metrics *m = sluice_metrics_create();
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count, m), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    struct sluice_metric *metric =
        sluice_metrics_get(m, SLUICE_METRIC_COUNTER, "n", "shared", NULL, NULL);
    assert_int_equal(sluice_metric_value(metric), 80000);
    sluice_metrics_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_once),
        cmocka_unit_test(exposition),
        cmocka_unit_test(survives_failures),
        cmocka_unit_test(threads_share),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
