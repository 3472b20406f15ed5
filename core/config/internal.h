/*
 * What the files of this folder share.
 */
#ifndef SLUICE_CONFIG_INTERNAL_H
#define SLUICE_CONFIG_INTERNAL_H

#include "base/str.h"
#include "config/options.h"
#include "config/yaml.h"

/* ---- paths: "sinks.lake.config.bucket", keys that are not plain words as ["a.b"] ---- */

/* Append a step; return the size before, to be given to pop. */
size_t sluice_path_push(struct sluice_str *path, const char *key);
size_t sluice_path_push_index(struct sluice_str *path, size_t i);
void sluice_path_pop(struct sluice_str *path, size_t size);

/* ---- building trees ---- */

struct sluice_yaml *sluice_yaml_new(int32_t kind, uint32_t line, uint32_t column);
/* A scalar; copies `size` bytes. */
struct sluice_yaml *sluice_yaml_new_scalar(const char *text, size_t size, uint32_t line,
                                           uint32_t column);
/* Appends to a sequence (key NULL) or mapping; moves key and value, also when out of memory (then
 * both are freed and 0 is returned). */
int sluice_yaml_append(struct sluice_yaml *parent, struct sluice_yaml *key,
                       struct sluice_yaml *value);
/* A value as given on the command line: a flow collection or quoted scalar is parsed, all else is
 * taken as it stands. `what` names it in findings. NULL = reported, or out of memory. */
struct sluice_yaml *sluice_yaml_value(const char *text, const char *what,
                                      struct sluice_diags *diags);
/* "text", "a list", "a mapping", "nothing" */
const char *sluice_yaml_kind_name(const struct sluice_yaml *node);
void sluice_diags_no_memory(struct sluice_diags *diags);

/* Turns libyaml's error into one that helps. */
struct sluice_yaml_problem {
    const char *problem; /* libyaml's words; may be NULL */
    const char *context;
    uint32_t line; /* from 1 */
    uint32_t column;
    uint32_t context_line;
    uint32_t context_column;
};
void sluice_yaml_explain(const struct sluice_yaml_problem *problem, const char *data, size_t size,
                         struct sluice_diags *diags);

/* ---- checking ---- */

/* Keys of a mapping beside its options. All NULL-terminated, NULL = none. */
struct sluice_check {
    const char *const *others;    /* allowed, checked by the caller */
    const char *const *reserved;  /* known, but not available in this version */
    const char *const *elsewhere; /* reported by the caller */
    uint32_t line;                /* place for missing options; 0 = that of the mapping */
    uint32_t column;
    const struct sluice_option *const *nearby; /* options that belong under `config:` here */
    const char *plugin;                        /* whose they are */
    const char *const *outside;                /* keys that belong beside `config:`, not into it */
};

struct sluice_config *sluice_config_check_with(const struct sluice_option *const *options,
                                               const struct sluice_yaml *node, const char *path,
                                               const struct sluice_check *check,
                                               struct sluice_diags *diags);
/* The value of an option that the table has; is_set 0 when absent or wrong. */
struct sluice_value sluice_config_value(const struct sluice_config *config, const char *key);

/* The password of a text of the form scheme://user:password@host…: its size, 0 = there is none. */
size_t sluice_url_password(const char *text, size_t *start);
/* Appends the text, such a password as "***". */
void sluice_url_append_shown(struct sluice_str *out, const char *text);
/* Lets the log redact it, as it stands and percent-decoded. */
void sluice_url_register_secret(const char *text);

/* Text for messages: quoted, cut when long; "" when it must not be shown. */
struct sluice_shown {
    char text[72];
};
struct sluice_shown sluice_show(const char *text, int hidden);

/* NULL = none, or the plugin is older than the member. */
const char *sluice_option_example(const struct sluice_option *option);

/* Exact forms: "10s", "64MiB". */
void sluice_duration_exact(int64_t us, char out[32]);
void sluice_size_exact(int64_t bytes, char out[32]);

/* Engine-owned keys as option tables: one table for checks, schema and reference. */
extern const struct sluice_option *const sluice_engine_none[];
extern const struct sluice_option *const sluice_engine_top[];
extern const struct sluice_option *const sluice_engine_source[]; /* a node of sources */
extern const struct sluice_option *const sluice_engine_node[];   /* of transforms, sinks */
extern const struct sluice_option *const sluice_engine_state[];
extern const struct sluice_option *const sluice_engine_retry[];
extern const struct sluice_option *const sluice_engine_node_retry[]; /* without defaults */
extern const struct sluice_option *const sluice_engine_batch_source[];
extern const struct sluice_option *const sluice_engine_batch_sink[];
extern const struct sluice_option *const sluice_engine_snapshot[];
extern const struct sluice_option *const sluice_engine_write[];
extern const struct sluice_option *const sluice_engine_write_rule[]; /* without defaults */
extern const struct sluice_option *const sluice_engine_route[];
extern const struct sluice_option *const sluice_engine_route_rule[];
extern const struct sluice_option *const sluice_engine_sink_error[]; /* on_error of a sink */
extern const struct sluice_option *const sluice_engine_sink[];       /* a node of sinks */
extern const struct sluice_option *const sluice_engine_tables[];
extern const struct sluice_option *const sluice_engine_defaults[];
extern const struct sluice_option *const sluice_engine_rule[];
extern const struct sluice_option *const sluice_engine_columns[];

#endif /* SLUICE_CONFIG_INTERNAL_H */
