/* A transform instance under test: its host, what it bound, batches through it. */
#ifndef TRANSFORMS_FIXTURE_H
#define TRANSFORMS_FIXTURE_H

/* cmocka wants these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "testkit.h"

const struct sluice_plugin *sluice_plugin_mask_entry_v0(void);
const struct sluice_plugin *sluice_plugin_project_entry_v0(void);

struct fixture {
    struct sluice_testkit_host *host;
    const struct sluice_transform_api *api;
    struct sluice_transform *xf;
    struct sluice_stream_desc *desc; /* copy of what bind visited last */
    struct ArrowSchema envelope;     /* of desc */
    struct sluice_error err;
};

/* Makes an instance; `set` ends with a NULL key. */
void fixture_open(struct fixture *f, const struct sluice_plugin *plugin,
                  const struct sluice_pair *set);
/* Expects create to fail; the error is in f->err. */
void fixture_open_fails(struct fixture *f, const struct sluice_plugin *plugin,
                        const struct sluice_pair *set);
sluice_status fixture_bind(struct fixture *f, const struct sluice_stream_desc *in);
/* Pushes and pulls one batch, and checks the result in full against what bind said. */
void fixture_pass(struct fixture *f, struct sluice_batch *in, struct sluice_batch *out);
void fixture_close(struct fixture *f);

/* Index of a column of what comes out; fails the test if there is none. */
int64_t fixture_column(const struct fixture *f, const char *name);

int run_mask_tests(void);
int run_project_tests(void);
int run_changes_tests(void);

#endif /* TRANSFORMS_FIXTURE_H */
