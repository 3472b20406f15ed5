/*
 * PostgreSQL's types: what the catalog says about those that a set of tables uses, and the plan of
 * how a column of each is fetched, decoded and described. [any] once loaded.
 */
#ifndef SLUICE_COMMON_PG_TYPES_H
#define SLUICE_COMMON_PG_TYPES_H

#include "pg/conn.h"
#include "pg/text.h"
#include "sluice/schema.h"

struct sluice_pg_types; /* a closed set of types, sorted by oid */

/* Loads every type that columns of the relations use, and what those types are made of. `relations`
 * is an array literal of oids ("{16384,16390}"). The caller frees it. */
sluice_status sluice_pg_types_load(struct sluice_pg_conn *conn, const char *relations,
                                   struct sluice_pg_types **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
/* The same for the types of an array literal of type oids. */
sluice_status sluice_pg_types_load_oids(struct sluice_pg_conn *conn, const char *types,
                                        struct sluice_pg_types **out, struct sluice_error *err)
    SLUICE_MUST_CHECK;
void sluice_pg_types_free(struct sluice_pg_types *types);

/* One type, for sluice_pg_types_make. */
struct sluice_pg_type_row {
    uint32_t oid;
    char kind;        /* typtype: b c d e r m p */
    char delimiter;   /* typdelim */
    uint32_t element; /* of a true array */
    uint32_t base;    /* of a domain */
    int32_t base_typmod;
    uint32_t relation;     /* of a composite */
    int32_t output_usable; /* we may call its output function by name */
    const char *output;    /* the output function, qualified and quoted */
    const char *cast_name; /* the type's name for a cast without modifier */
    const char *send;      /* bare name of its send function */
};
/* One column of a composite type, in order. */
struct sluice_pg_attribute_row {
    uint32_t relation;
    uint32_t type;
    int32_t typmod;
    const char *name;
};
/* Makes a set from rows (copies); for tests. */
sluice_status sluice_pg_types_make(const struct sluice_pg_type_row *rows, uint32_t count,
                                   const struct sluice_pg_attribute_row *attributes,
                                   uint32_t attribute_count, struct sluice_pg_types **out,
                                   struct sluice_error *err) SLUICE_MUST_CHECK;

struct sluice_pg_column {
    const char *name;
    uint32_t type;
    int32_t typmod;
};

/* How a column is fetched and what it becomes. */
struct sluice_pg_column_plan {
    int32_t decode;             /* SLUICE_PG_DECODE_* */
    struct sluice_type type;    /* Arrow */
    int32_t special;            /* out-of-range values stand for infinity or NaN */
    const char *extension;      /* ARROW:extension:name, or NULL; static */
    struct sluice_pg_text text; /* the text class, empty = none; the caller frees it */
    int32_t binary;             /* 1: `decode` takes what the type's own send function gives; 0: it
                                   takes text alone (the select expression makes it) */
};

/* Plans a column and appends its select expression to `select`. `unrepresentable` is
 * SLUICE_PG_UNREPRESENTABLE_*; `sql_ascii`: text must be checked. */
sluice_status sluice_pg_column_make(const struct sluice_pg_types *types,
                                    const struct sluice_pg_column *column, int32_t unrepresentable,
                                    int32_t sql_ascii, struct sluice_pg_text *select,
                                    struct sluice_pg_column_plan *out, struct sluice_error *err)
    SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_TYPES_H */
