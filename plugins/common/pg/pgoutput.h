/*
 * The messages of PostgreSQL's logical replication plugin pgoutput, protocol version 1, taken apart.
 *
 * Pure: bytes in, a description out; nothing is allocated per message except what a parser's rooms
 * grow. Layouts: PostgreSQL documentation, "Logical Replication Message Formats". Every length is
 * checked; an unknown message, flag or kind, and bytes left over, are DATA errors that name the
 * message and the offset. One thread at a time per parser.
 */
#ifndef SLUICE_COMMON_PG_PGOUTPUT_H
#define SLUICE_COMMON_PG_PGOUTPUT_H

#include <stddef.h>
#include <stdint.h>

#include "sluice/error.h"

enum {
    SLUICE_PGOUT_BEGIN = 'B',
    SLUICE_PGOUT_COMMIT = 'C',
    SLUICE_PGOUT_ORIGIN = 'O',
    SLUICE_PGOUT_RELATION = 'R',
    SLUICE_PGOUT_TYPE = 'Y',
    SLUICE_PGOUT_INSERT = 'I',
    SLUICE_PGOUT_UPDATE = 'U',
    SLUICE_PGOUT_DELETE = 'D',
    SLUICE_PGOUT_TRUNCATE = 'T',
    SLUICE_PGOUT_MESSAGE = 'M'
};

enum { SLUICE_PGOUT_COLUMNS_MAX = 1664 }; /* of a tuple or relation: the server's own limit */

enum {
    SLUICE_PGOUT_NULL = 'n',
    SLUICE_PGOUT_UNCHANGED = 'u', /* TOASTed and not sent */
    SLUICE_PGOUT_TEXT = 't',
    SLUICE_PGOUT_BINARY = 'b'
};

struct sluice_pgout_value {
    const uint8_t *data; /* borrowed from the message */
    uint32_t size;
    int32_t kind; /* SLUICE_PGOUT_NULL … _BINARY */
};

/* In a key tuple ('K') every column outside the key is NULL on the wire: *not sent*, not NULL. */
struct sluice_pgout_tuple {
    const struct sluice_pgout_value *values; /* borrowed from the parser */
    uint32_t count;
};

struct sluice_pgout_column {
    const char *name; /* borrowed from the message */
    uint32_t type;
    int32_t typmod;
    int32_t is_key; /* part of the replica identity; all columns under FULL */
};

struct sluice_pgout_message {
    int32_t type; /* SLUICE_PGOUT_BEGIN … */
    uint64_t lsn; /* B: of the commit record. C: the same. O: at the origin. M: of the message */
    uint64_t end_lsn;   /* C: the end of the commit record */
    int64_t time_us;    /* B C: commit, microseconds since 1970 UTC */
    uint32_t xid;       /* B */
    uint32_t relation;  /* R I U D: oid; Y: of the type */
    int32_t old_kind;   /* U D: 'K' key columns alone, 'O' the whole old row, 0 none */
    int32_t identity;   /* R: 'd' 'i' 'f' 'n' */
    const char *schema; /* R Y: "pg_catalog" where the wire has ""; M: NULL. Borrowed */
    const char *name;   /* R Y O; M: the prefix */
    struct sluice_pgout_tuple old_row;         /* U D */
    struct sluice_pgout_tuple new_row;         /* I U */
    const struct sluice_pgout_column *columns; /* R; borrowed from the parser */
    uint32_t column_count;
    const uint32_t *relations; /* T: oids, borrowed from the parser */
    uint32_t relation_count;
    int32_t cascade;          /* T */
    int32_t restart_identity; /* T */
    int32_t transactional;    /* M */
    const uint8_t *content;   /* M; borrowed from the message */
    uint32_t content_size;
};

struct sluice_pgout_parser; /* the rooms that messages borrow from */

struct sluice_pgout_parser *sluice_pgout_parser_create(void); /* NULL = out of memory */
void sluice_pgout_parser_free(struct sluice_pgout_parser *parser);

/* Takes one message apart. What *out points to is valid until the next call and while `data` is. */
sluice_status sluice_pgout_parse(struct sluice_pgout_parser *parser, const uint8_t *data,
                                 size_t size, struct sluice_pgout_message *out,
                                 struct sluice_error *err) SLUICE_MUST_CHECK;

#endif /* SLUICE_COMMON_PG_PGOUTPUT_H */
