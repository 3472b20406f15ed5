/* Sink `s3`: a lake in a bucket. */
#include "sluice/plugin.h"

#include <stddef.h>

#include "lake/lake.h"
#include "options.h"
#include "s3/s3.h"

static sluice_status s3_create(const struct sluice_host *host, struct sluice_sink **out,
                               struct sluice_error *err)
{
    struct sluice_s3_options options = {0};
    struct sluice_lake_store *store = NULL;
    SLUICE_TRY(sluice_s3_sink_bind(host, &options, err));
    SLUICE_TRY(sluice_s3_store_create(host, &options, &store, err));
    return sluice_lake_sink_create(host, &sluice_s3_store_api, store, out, err);
}

static const struct sluice_sink_api api = SLUICE_LAKE_SINK_API(s3_create);

static const struct sluice_component component = {
    .struct_size = (uint32_t)sizeof(struct sluice_component),
    .kind = SLUICE_SINK,
    .caps = SLUICE_LAKE_SINK_CAPS,
    .name = "s3",
    .summary = "Writes tables as JSON lines or CSV objects into an S3 bucket.",
    .help =
        "Works with AWS and with services that speak S3 as AWS does, conditional writes"
        " (If-None-Match on PutObject and CompleteMultipartUpload) included. Each full load of a"
        " table is a new set of objects, named in a manifest once they are all there; readers "
        "follow"
        " the manifests. Nothing is ever replaced or deleted. The layout is described in"
        " docs/object-layout.md.\n\n"
        "Rights needed on arn:aws:s3:::BUCKET: s3:ListBucket; on arn:aws:s3:::BUCKET/PREFIX/*:"
        " s3:PutObject, s3:GetObject, s3:AbortMultipartUpload (and kms:GenerateDataKey on the key "
        "of"
        " aws:kms). `sluice check` tries each of them.\n\n"
        "Objects larger than part_size are uploaded in parts. A process that is killed leaves parts"
        " behind, which cost money unseen: give the bucket the lifecycle rule"
        " AbortIncompleteMultipartUpload.",
    .options = sluice_s3_sink_options,
    .sink = &api,
};

static const struct sluice_component *const components[] = {&component};

static const struct sluice_plugin plugin = {
    .magic = SLUICE_PLUGIN_MAGIC,
    .struct_size = (uint32_t)sizeof(struct sluice_plugin),
    .abi_major = SLUICE_ABI_MAJOR,
    .abi_minor = SLUICE_ABI_MINOR,
    .abi_minor_min = SLUICE_ABI_MINOR,
    .envelope_version = SLUICE_ENVELOPE_VERSION,
    .name = "s3",
    .version = "0.1.0",
    .license = "Apache-2.0",
    .build = "",
    .component_count = 1,
    .components = components,
};

SLUICE_PLUGIN_DEFINE(plugin)
