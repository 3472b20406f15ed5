#include "statement.h"

#include <string.h>

#define EXACT "COLLATE Latin1_General_100_BIN2"

/* ---- columns ---- */

static int is_text(const struct mssink_type *type)
{
    return type->form == MSSINK_FORM_UTF16 || type->form == MSSINK_FORM_CHARS;
}

static int begins(const char *declared, const char *word)
{
    return strncmp(declared, word, strlen(word)) == 0;
}

/* nchar and char fill up with blanks. */
static int is_padded(const struct mssink_type *type)
{
    return is_text(type) && (begins(type->declared, "nchar") || begins(type->declared, "char"));
}

/* The type by which a column can be compared, where its own cannot. */
static const char *comparable(const struct mssink_type *type)
{
    return begins(type->declared, "ntext") || begins(type->declared, "text") ||
                   begins(type->declared, "xml")
               ? "nvarchar(max)"
           : begins(type->declared, "image") ? "varbinary(max)"
                                             : NULL;
}

static struct sluice_bytes bytes_of(const struct sluice_apply_field *field)
{
    const struct sluice_bytes none = {NULL, 0};
    const struct sluice_bytes some = {field->data, field->size > 0 ? (uint64_t)field->size : 0};
    return field->size < 0 ? none : some;
}

/* An identity and the key stay what they are. */
static int may_set(const struct mssink_column *c)
{
    return !c->identity;
}

static int is_sent(const struct sluice_apply_field *fields, uint32_t i)
{
    return fields != NULL && fields[i].size != SLUICE_APPLY_UNSENT;
}

static void add_target(const struct mssink_table *table, struct mssink_text *out)
{
    mssink_text_table(out, table->schema, table->name);
}

static void add_name(const struct mssink_column *c, struct mssink_text *out)
{
    const char *type = comparable(&c->type);
    mssink_text_add(out, type != NULL ? "CAST(" : "");
    mssink_text_ident(out, c->name);
    if (type != NULL) {
        mssink_text_format(out, " AS %s)", type);
    }
}

/* ---- finding a row ---- */

static void add_equal(const struct mssink_column *c, const struct sluice_apply_field *field,
                      struct mssink_text *out)
{
    add_name(c, out);
    if (field->size == SLUICE_APPLY_NULL) {
        mssink_text_add(out, " IS NULL");
        return;
    }
    mssink_text_add(out, " = ");
    mssink_literal(&c->type, bytes_of(field), out);
    if (!is_text(&c->type)) {
        return;
    }
    mssink_text_add(out, " AND ");
    add_name(c, out);
    mssink_text_add(out, " " EXACT " = ");
    mssink_literal(&c->type, bytes_of(field), out);
    if (!is_padded(&c->type) && comparable(&c->type) == NULL) {
        mssink_text_add(out, " AND DATALENGTH(");
        mssink_text_ident(out, c->name);
        mssink_text_format(out, ") = %d", field->size);
    }
}

/* By the old row where there is one, else by the key that the new one has. */
static void add_where(const struct mssink_table *table, const struct sluice_apply_field *after,
                      const struct sluice_apply_field *before, struct mssink_text *out)
{
    const struct sluice_apply_field *by = before != NULL ? before : after;
    const char *and = " WHERE ";
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        const int finds = table->key_count > 0 ? c->key : c->source >= 0;
        if (finds && is_sent(by, i)) {
            mssink_text_add(out, and);
            add_equal(c, &by[i], out);
            and = " AND ";
        }
    }
    if (and[1] == 'W') { /* nothing tells the row from others: none is met */
        mssink_text_add(out, " WHERE 1 = 0");
    }
}

/* ---- one by one ---- */

/* Answers 0 when no column can be set; `keys`: the key, too. */
static int add_sets(const struct mssink_table *table, const struct sluice_apply_field *after,
                    int keys, struct mssink_text *out)
{
    const char *comma = " SET ";
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        if (is_sent(after, i) && may_set(c) && (keys || !c->key)) {
            mssink_text_add(out, comma);
            mssink_text_ident(out, c->name);
            mssink_text_add(out, " = ");
            mssink_literal(&c->type, bytes_of(&after[i]), out);
            comma = ", ";
        }
    }
    return comma[0] == ',';
}

static int has_sets(const struct mssink_table *table, const struct sluice_apply_field *after,
                    int keys)
{
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        if (is_sent(after, i) && may_set(c) && (keys || !c->key)) {
            return 1;
        }
    }
    return 0;
}

static void add_insert(const struct mssink_table *table, const struct sluice_apply_field *after,
                       struct mssink_text *out)
{
    const char *comma = " (";
    mssink_text_add(out, "INSERT INTO ");
    add_target(table, out);
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (is_sent(after, i)) {
            mssink_text_add(out, comma);
            mssink_text_ident(out, table->columns[i].name);
            comma = ", ";
        }
    }
    comma = ") VALUES (";
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (is_sent(after, i)) {
            mssink_text_add(out, comma);
            mssink_literal(&table->columns[i].type, bytes_of(&after[i]), out);
            comma = ", ";
        }
    }
    mssink_text_add(out, ");\n");
}

/* One table of a session at a time may take values of its identity. */
static void add_identity(const struct mssink_table *table, const char *state,
                         struct mssink_text *out)
{
    if (table->has_identity) {
        mssink_text_add(out, "SET IDENTITY_INSERT ");
        add_target(table, out);
        mssink_text_format(out, " %s;\n", state);
    }
}

static void add_put(const struct mssink_table *table, const struct sluice_apply_field *after,
                    struct mssink_text *out)
{
    add_identity(table, "ON", out); /* before the update: SET would lose its count of rows */
    if (has_sets(table, after, 0)) {
        mssink_text_add(out, "UPDATE ");
        add_target(table, out);
        (void)add_sets(table, after, 0, out);
        add_where(table, after, NULL, out);
        mssink_text_add(out, ";\nIF @@ROWCOUNT = 0 ");
    }
    else {
        mssink_text_add(out, "IF NOT EXISTS (SELECT 1 FROM ");
        add_target(table, out);
        mssink_text_add(out, " WITH (UPDLOCK, HOLDLOCK)");
        add_where(table, after, NULL, out);
        mssink_text_add(out, ") ");
    }
    add_insert(table, after, out);
    add_identity(table, "OFF", out);
}

static void add_throw(int number, size_t index, struct mssink_text *out)
{
    mssink_text_format(out, "THROW %d, N'sluice %zu', 1;\n", number, index);
}

static void add_update(const struct mssink_table *table, int must, int32_t duplicates,
                       const struct sluice_apply_field *after,
                       const struct sluice_apply_field *before, size_t index,
                       struct mssink_text *out)
{
    const int keyless = table->key_count == 0;
    if (!has_sets(table, after, before != NULL)) {
        return; /* nothing is new */
    }
    mssink_text_format(out, "UPDATE %s",
                       keyless && duplicates == SLUICE_DUPLICATES_ONE ? "TOP (1) " : "");
    add_target(table, out);
    (void)add_sets(table, after, before != NULL, out);
    add_where(table, after, before, out);
    mssink_text_add(out, ";\n");
    if (must) {
        const int all = keyless && duplicates == SLUICE_DUPLICATES_ALL;
        mssink_text_format(out, "IF @@ROWCOUNT %s ", all ? "= 0" : "<> 1");
        add_throw(MSSINK_THROW_MISSING, index, out);
    }
}

static void add_remove(const struct mssink_table *table, int32_t duplicates,
                       const struct sluice_apply_field *before, size_t index,
                       struct mssink_text *out)
{
    const int keyless = table->key_count == 0;
    mssink_text_format(out, "DELETE %sFROM ",
                       keyless && duplicates == SLUICE_DUPLICATES_ONE ? "TOP (1) " : "");
    add_target(table, out);
    add_where(table, NULL, before, out);
    mssink_text_add(out, ";\n");
    if (keyless && duplicates == SLUICE_DUPLICATES_FAIL) {
        mssink_text_add(out, "IF @@ROWCOUNT > 1 ");
        add_throw(MSSINK_THROW_MANY, index, out);
    }
}

void mssink_statement_change(const struct mssink_table *table, int kind, int32_t duplicates,
                             const struct sluice_apply_field *after,
                             const struct sluice_apply_field *before, size_t index,
                             struct mssink_text *out)
{
    switch (kind) {
    case SLUICE_APPLY_PUT:
        add_put(table, after, out);
        break;
    case SLUICE_APPLY_ADD:
        add_identity(table, "ON", out);
        add_insert(table, after, out);
        add_identity(table, "OFF", out);
        break;
    case SLUICE_APPLY_REMOVE:
        add_remove(table, duplicates, before, index, out);
        break;
    default:
        add_update(table, kind == SLUICE_APPLY_CHANGE, duplicates, after, before, index, out);
        break;
    }
}

/* DELETE and not TRUNCATE: that one is refused where a foreign key refers to the table, or changes are captured. */
void mssink_statement_truncate(const struct mssink_table *table, int soft, struct mssink_text *out)
{
    if (!soft) {
        mssink_text_add(out, "DELETE FROM ");
        add_target(table, out);
        mssink_text_add(out, ";\n");
        return;
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].soft) {
            mssink_text_add(out, "UPDATE ");
            add_target(table, out);
            mssink_text_add(out, " SET ");
            mssink_text_ident(out, table->columns[i].name);
            mssink_text_add(out, " = 1 WHERE ");
            mssink_text_ident(out, table->columns[i].name);
            mssink_text_add(out, " = 0;\n");
        }
    }
}

/* ---- sets ---- */

void mssink_stage_create(const struct mssink_table *table, const char *stage,
                         struct mssink_text *out)
{
    mssink_text_format(out, "CREATE TABLE %s ([_k] int NOT NULL", stage);
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        /* Else it is tempdb's collation, which a comparison with the target's refuses. */
        mssink_text_format(out, ", [c%u] %s%s%s NULL", i, c->type.declared,
                           c->collation[0] != '\0' ? " COLLATE " : "", c->collation);
    }
    mssink_text_add(out, ");\n");
}

uint32_t mssink_stage_mark(const struct sluice_apply_final *final)
{
    const int some = final->todo == SLUICE_APPLY_DO_PART || final->todo == SLUICE_APPLY_DO_TRY;
    return some ? 100u + final->class_id * 2u + (final->todo == SLUICE_APPLY_DO_TRY) : final->todo;
}

/* The key of t is that of s, exactly. */
static void add_match(const struct mssink_table *table, struct mssink_text *out)
{
    for (uint32_t k = 0; k < table->key_count; k++) {
        const uint32_t i = table->keys[k];
        const struct mssink_column *c = &table->columns[i];
        mssink_text_add(out, k > 0 ? " AND t." : "t.");
        mssink_text_ident(out, c->name);
        mssink_text_format(out, " = s.[c%u]", i);
        if (is_text(&c->type)) {
            mssink_text_add(out, " AND t.");
            mssink_text_ident(out, c->name);
            mssink_text_format(out, " " EXACT " = s.[c%u] " EXACT " AND DATALENGTH(t.", i);
            mssink_text_ident(out, c->name);
            mssink_text_format(out, ") = DATALENGTH(s.[c%u])", i);
        }
    }
}

void mssink_stage_delete(const struct mssink_table *table, const char *stage, uint32_t mark,
                         struct mssink_text *out)
{
    mssink_text_add(out, "DELETE t FROM ");
    add_target(table, out);
    mssink_text_format(out, " AS t JOIN %s AS s ON ", stage);
    add_match(table, out);
    mssink_text_format(out, " WHERE s.[_k] = %u;\n", mark);
}

void mssink_stage_update(const struct mssink_table *table, const char *stage, uint32_t mark,
                         const unsigned char *mask, uint64_t least, struct mssink_text *out)
{
    const char *comma = "UPDATE t SET t.";
    for (uint32_t i = 0; i < table->column_count; i++) {
        const struct mssink_column *c = &table->columns[i];
        if ((mask == NULL || mask[i]) && !c->key && may_set(c)) {
            mssink_text_add(out, comma);
            mssink_text_ident(out, c->name);
            mssink_text_format(out, " = s.[c%u]", i);
            comma = ", t.";
        }
    }
    if (comma[0] == 'U') { /* there is but the key */
        return;
    }
    mssink_text_add(out, " FROM ");
    add_target(table, out);
    mssink_text_format(out, " AS t JOIN %s AS s ON ", stage);
    add_match(table, out);
    mssink_text_format(out, " WHERE s.[_k] = %u;\n", mark);
    if (least > 0) {
        mssink_text_format(out, "IF @@ROWCOUNT < %llu ", (unsigned long long)least);
        add_throw(MSSINK_THROW_MISSING, 0, out);
    }
}

void mssink_stage_insert(const struct mssink_table *table, const char *stage, uint32_t mark,
                         int absent, struct mssink_text *out)
{
    add_identity(table, "ON", out);
    mssink_text_add(out, "INSERT INTO ");
    add_target(table, out);
    for (uint32_t i = 0; i < table->column_count; i++) {
        mssink_text_add(out, i > 0 ? ", " : " (");
        mssink_text_ident(out, table->columns[i].name);
    }
    for (uint32_t i = 0; i < table->column_count; i++) {
        mssink_text_format(out, "%ss.[c%u]", i > 0 ? ", " : ") SELECT ", i);
    }
    mssink_text_format(out, " FROM %s AS s WHERE s.[_k] = %u", stage, mark);
    if (absent) {
        mssink_text_add(out, " AND NOT EXISTS (SELECT 1 FROM ");
        add_target(table, out);
        mssink_text_add(out, " AS t WHERE ");
        add_match(table, out);
        mssink_text_add(out, ")");
    }
    mssink_text_add(out, ";\n");
    add_identity(table, "OFF", out);
}
