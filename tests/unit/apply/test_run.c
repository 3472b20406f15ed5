/* The course of applying: what goes as sets, what in order, and what is committed when. */
#include "apply/run.h"

#include <stdio.h>

#include "tests.h"

struct recorder {
    char said[400];
    int sets_answer;
};

static void say(struct recorder *r, char what, size_t from, size_t to)
{
    const size_t n = strlen(r->said);
    (void)snprintf(r->said + n, sizeof r->said - n, "%c%zu-%zu ", what, from, to);
}

static sluice_status begin(void *lane, struct sluice_error *err)
{
    (void)err;
    say(lane, 'B', 0, 0);
    return SLUICE_OK;
}

static sluice_status ordered(void *lane, size_t from, size_t to, const struct sluice_commit *commit,
                             struct sluice_bytes applied, struct sluice_error *err)
{
    (void)err;
    say(lane, commit == NULL ? 'O' : applied.size > 0 ? 'P' : 'C', from, to);
    return SLUICE_OK;
}

static sluice_status sets(void *lane, size_t from, size_t to, struct sluice_error *err)
{
    (void)err;
    say(lane, 'S', from, to);
    return ((struct recorder *)lane)->sets_answer;
}

static sluice_status settled(void *lane, struct sluice_bytes position, struct sluice_error *err)
{
    (void)err;
    const uint8_t *at = position.data;
    say(lane, '@', at[0], at[0]);
    return SLUICE_OK;
}

/* One change for each letter; a digit begins the transaction of that position. */
struct made {
    struct sluice_apply_log log;
    struct sluice_apply_change changes[16];
    struct sluice_apply_tx txs[16];
    uint8_t arena[16];
};

static void make(struct made *m, const char *text)
{
    memset(m, 0, sizeof *m);
    m->log.arena = m->arena;
    m->log.changes = m->changes;
    m->log.txs = m->txs;
    m->log.sorted = 1;
    for (const char *p = text; *p != '\0'; p++) {
        if (*p >= '0' && *p <= '9') {
            m->arena[m->log.tx_count] = (uint8_t)(*p - '0');
            m->txs[m->log.tx_count] = (struct sluice_apply_tx){m->log.tx_count, 1, 0};
            m->log.tx_count++;
            continue;
        }
        m->changes[m->log.count++] = (struct sluice_apply_change){
            .op = (uint8_t)*p, .source_op = (uint8_t)*p, .tx = (uint32_t)m->log.tx_count - 1};
    }
}

static struct sluice_apply_run run_of(struct recorder *r, struct made *m)
{
    return (struct sluice_apply_run){.lane = r,
                                     .log = &m->log,
                                     .small_rows = 2,
                                     .begin = begin,
                                     .ordered = ordered,
                                     .sets = sets,
                                     .settled = settled};
}

static void between_truncates(void **state)
{
    struct made m;
    struct recorder r = {.sets_answer = SLUICE_OK};
    (void)state;
    make(&m, "1IUIT2TIUDUTI");
    struct sluice_apply_run run = run_of(&r, &m);
    assert_int_equal(sluice_apply_parts(&run, NULL), SLUICE_OK);
    assert_string_equal(r.said, "B0-0 S0-3 O3-5 S5-9 O9-10 O10-11 ");
}

static void sets_that_cannot(void **state)
{
    struct made m;
    struct recorder r = {.sets_answer = SLUICE_AGAIN};
    (void)state;
    make(&m, "1IUI");
    struct sluice_apply_run run = run_of(&r, &m);
    assert_int_equal(sluice_apply_parts(&run, NULL), SLUICE_OK);
    assert_string_equal(r.said, "B0-0 S0-3 O0-3 ");
    r = (struct recorder){.sets_answer = SLUICE_E_IO};
    assert_int_equal(sluice_apply_parts(&run, NULL), SLUICE_E_IO);
    assert_string_equal(r.said, "B0-0 S0-3 "); /* an error is not an AGAIN */
}

static void each_transaction(void **state)
{
    struct made m;
    struct recorder r = {0};
    const struct sluice_commit commit = {.struct_size = sizeof commit, .epoch = 7};
    (void)state;
    make(&m, "1II2U3DD");
    struct sluice_apply_run run = run_of(&r, &m);
    assert_int_equal(sluice_apply_transactions(&run, 6, &commit, NULL), SLUICE_OK);
    assert_string_equal(r.said, "P0-2 @1-1 P2-3 @2-2 C3-5 ");
    /* Nothing to write still moves the checkpoint. */
    make(&m, "");
    r.said[0] = '\0';
    assert_int_equal(sluice_apply_transactions(&run, 6, &commit, NULL), SLUICE_OK);
    assert_string_equal(r.said, "C0-0 ");
}

int apply_test_run(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(between_truncates),
        cmocka_unit_test(sets_that_cannot),
        cmocka_unit_test(each_transaction),
    };
    return cmocka_run_group_tests_name("run", tests, NULL, NULL);
}
