/* Transform mask: descriptor and options. */
#include "sluice/plugin.h"

#include "mask.h"

static const struct sluice_option o_columns = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_LIST,
    SLUICE_OPTION_REQUIRED,
    0,
    "columns",
    NULL,
    0,
    0,
    NULL,
    "Columns to mask: names or globs, perhaps behind a table glob (schema.table.column). A pattern "
    "that matches nothing is warned of.",
    "[\"public.emp_*.ssn\", email]"};
static const char *const with_choices[] = {"sha256",    "redact", "nullify", "truncate",
                                           "keep_last", "null",   NULL};
static const struct sluice_option o_with = {
    (uint32_t)sizeof(struct sluice_option),
    SLUICE_OPTION_ENUM,
    SLUICE_OPTION_REQUIRED,
    0,
    "with",
    NULL,
    0,
    0,
    with_choices,
    "sha256: the hash of the salt and the value's text, the same for equal values; redact: the "
    "replacement; nullify: NULL (also written \"null\", in quotes); truncate: the first `length` "
    "characters; keep_last: the replacement "
    "and the last `length` characters (shorter values are replaced whole). NULL stays NULL.",
    "sha256"};
static const struct sluice_option o_salt = SLUICE_OPT(
    SLUICE_OPTION_STRING, "salt", NULL, SLUICE_OPTION_SECRET,
    "sha256: bytes hashed before the value. Without it, short or guessable values can be "
    "found by trying.");
static const char *const encoding_choices[] = {"hex", "binary", NULL};
static const struct sluice_option o_encoding = SLUICE_OPT_ENUM(
    "encoding", "hex", 0, encoding_choices, "sha256: 64 hex digits as text, or 32 bytes.");
static const struct sluice_option o_length = SLUICE_OPT_RANGE(
    SLUICE_OPTION_INT, "length", "4", 0, 0, 1000000, "truncate, keep_last: characters that stay.");
static const struct sluice_option o_replacement =
    SLUICE_OPT(SLUICE_OPTION_STRING, "replacement", "***", 0,
               "redact, keep_last: the text that stands for what is hidden.");

static const struct sluice_option *const options[] = {
    &o_columns, &o_with, &o_salt, &o_encoding, &o_length, &o_replacement, NULL};

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof component,
    .kind = SLUICE_TRANSFORM,
    .caps = SLUICE_TRANSFORM_STATELESS | SLUICE_TRANSFORM_ROW_PRESERVING | SLUICE_TRANSFORM_CHANGES,
    .name = "mask",
    .summary = "Hides the values of columns",
    .help =
        "Masks whole columns in loads and in changes, old values included. A key column can "
        "only be hashed, since its values must stay distinct. redact turns any column into "
        "text; nullify keeps the type and makes the column nullable. sha256 is SHA-256 over the "
        "salt's bytes followed by the value's canonical text, which for text is the text "
        "itself and for numbers their digits.",
    .options = options,
    .transform = &mask_api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof plugin,
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "mask",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
