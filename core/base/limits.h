/*
 * Every limit of the engine, named, with the reason.
 */
#ifndef SLUICE_BASE_LIMITS_H
#define SLUICE_BASE_LIMITS_H

#define SLUICE_LIMIT_YAML_BYTES (1024u * 1024u) /* a pipeline file is written by people */
#define SLUICE_LIMIT_YAML_DEPTH 64
#define SLUICE_LIMIT_YAML_NODES 100000
#define SLUICE_LIMIT_SECRET_FILE_BYTES (64u * 1024u)
#define SLUICE_LIMIT_NODES 256 /* sources, transforms and sinks of one pipeline */
#define SLUICE_LIMIT_POSITION_BYTES (64u * 1024u)
#define SLUICE_LIMIT_TOKEN_BYTES (64u * 1024u)
#define SLUICE_LIMIT_PLUGIN_BYTES (256u * 1024u * 1024u)
#define SLUICE_LIMIT_PARALLELISM 64
#define SLUICE_LIMIT_SHARD_ID_BYTES 120
#define SLUICE_DEFAULT_MEMORY (96u * 1024u * 1024u) /* keeps a busy process below 128 MiB */

#endif /* SLUICE_BASE_LIMITS_H */
