#include "bulkrows.h"

#include <stdlib.h>

#include <sybfront.h>

#include <sybdb.h>

enum { UNIQUE = 36 /* uniqueidentifier, which sybdb.h has no name for */ };

int32_t mssink_bulk_type(enum mssink_form form)
{
    switch (form) {
    case MSSINK_FORM_BIT:
        return SYBBIT;
    case MSSINK_FORM_INT1:
        return SYBINT1;
    case MSSINK_FORM_INT2:
        return SYBINT2;
    case MSSINK_FORM_INT4:
        return SYBINT4;
    case MSSINK_FORM_INT8:
        return SYBINT8;
    case MSSINK_FORM_REAL:
        return SYBREAL;
    case MSSINK_FORM_FLOAT:
        return SYBFLT8;
    case MSSINK_FORM_DECIMAL:
        return SYBDECIMAL;
    case MSSINK_FORM_MONEY:
        return SYBMONEY;
    case MSSINK_FORM_MONEY4:
        return SYBMONEY4;
    case MSSINK_FORM_GUID:
        return UNIQUE;
    case MSSINK_FORM_DATE:
        return SYBMSDATE;
    case MSSINK_FORM_TIME:
        return SYBMSTIME;
    case MSSINK_FORM_DATETIME2:
        return SYBMSDATETIME2;
    case MSSINK_FORM_OFFSET:
        return SYBMSDATETIMEOFFSET;
    case MSSINK_FORM_DATETIME:
        return SYBDATETIME;
    case MSSINK_FORM_SMALLDATETIME:
        return SYBDATETIME4;
    case MSSINK_FORM_BYTES:
        return SYBVARBINARY;
    default:
        return SYBVARCHAR;
    }
}

sluice_status mssink_bulk_open(struct sluice_tds_conn *conn, const char *what, const char *name,
                               const struct mssink_table *table, int staged, uint32_t flags,
                               struct sluice_tds_bulk **out, struct sluice_error *err)
{
    struct sluice_tds_bulk_column *columns = calloc(table->column_count + 1u, sizeof *columns);
    if (columns == NULL) {
        return sluice_error_set(err, SLUICE_E_NOMEM, 0, "out of memory for a bulk load");
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        columns[i] =
            (struct sluice_tds_bulk_column){staged ? (int32_t)i + 1 : table->columns[i].ordinal,
                                            mssink_bulk_type(table->columns[i].type.form)};
    }
    const sluice_status status =
        sluice_tds_bulk_open(conn, what, name, columns, table->column_count, flags, out, err);
    free(columns);
    return status;
}

void mssink_stage_text(const struct mssink_table *table, const char *name, const char *more,
                       struct mssink_text *out)
{
    mssink_text_format(out, "CREATE TABLE %s (", name);
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        mssink_text_add(out, i > 0 ? ", " : "");
        mssink_text_ident(out, c->name);
        mssink_text_format(out, " %s%s%s NULL", c->type.declared,
                           c->collation[0] != '\0' ? " COLLATE " : "", c->collation);
    }
    mssink_text_add(out, more != NULL ? more : "");
    mssink_text_add(out, ")");
}
