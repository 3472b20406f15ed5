"""Tables, indexes, schemas: T-SQL's definitions as PostgreSQL's, with what was declared kept in tds.columns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .batch import near
from .errors import NotTaken
from .lexer import Token
from .tsql import literal, quoted, render_tokens
from .tsqltypes import ALIASES, SYSTEM_TYPE_IDS, TsqlType, parse_type

Tokens = list[Token]


@dataclass
class ColumnMade:
    name: str
    type: TsqlType
    nullable: bool = True
    identity: tuple[int, int] | None = None
    computed: str | None = None
    default: str | None = None
    default_text: str | None = None
    default_name: str = ""
    constraints: list[str] = field(default_factory=list)  # of the table, said at the column
    primary: bool = False
    collation: str = ""
    flags: dict[str, int] = field(default_factory=dict)  # what sys.columns says beside

    def definition(self) -> str:
        text = f"{quoted(self.name)} {self.type.storage}"
        if self.type.name in ("rowversion", "timestamp"):
            return text + " NOT NULL DEFAULT nextval('tds.rowversions')"
        if self.computed is not None:
            return text + f" GENERATED ALWAYS AS ({self.computed}) STORED"
        if self.identity:
            text += f" GENERATED ALWAYS AS IDENTITY (START {self.identity[0]} INCREMENT {self.identity[1]}"
            text += " MINVALUE -9223372036854775808)" if self.type.name == "bigint" else ")"
        text += f" DEFAULT {self.default}" if self.default is not None else ""
        return text + ("" if self.nullable else " NOT NULL")


class Reader:
    """Over the tokens of one definition."""

    def __init__(self, tokens: Tokens):
        self.tokens = tokens
        self.at = 0

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    def peek(self, ahead: int = 0) -> str:
        at = self.at + ahead
        return self.tokens[at].upper if at < len(self.tokens) else ""

    def taken(self, *words: str) -> bool:
        if all(self.peek(i) == word for i, word in enumerate(words)):
            self.at += len(words)
            return True
        return False

    def need(self, *words: str) -> None:
        if not self.taken(*words):
            raise self.wrong()

    def wrong(self) -> NotTaken:
        return near(self.tokens[min(self.at, len(self.tokens) - 1)])

    def name(self) -> str:
        if self.ended or self.tokens[self.at].kind not in ("word", "name"):
            raise self.wrong()
        self.at += 1
        return self.tokens[self.at - 1].value

    def table(self) -> Table:
        parts = [self.name()]
        while self.peek() == ".":
            self.at += 1
            parts.append("" if self.peek() == "." else self.name())
        return Table("" if parts[-1].startswith("#") else (parts[-2] if len(parts) > 1 else "") or "dbo", parts[-1])

    def group(self) -> Tokens:
        """What is between the brackets here."""
        if self.peek() != "(":
            raise self.wrong()
        begun, depth = self.at + 1, 0
        while not self.ended:
            depth += (self.peek() == "(") - (self.peek() == ")")
            self.at += 1
            if depth == 0:
                return self.tokens[begun : self.at - 1]
        raise self.wrong()

    def type(self) -> TsqlType:
        text = self.name()
        while self.peek() == ".":
            self.at += 1
            text = self.name()
        if self.peek() == "(" and text.lower() not in ("text", "int"):
            text += "(" + "".join(token.text for token in self.group()) + ")"
        return declared(text)


@dataclass(frozen=True)
class Table:
    schema: str
    name: str

    @property
    def sql(self) -> str:
        return quoted(self.name) if not self.schema else f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def plain(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def declared(text: str) -> TsqlType:
    try:
        return parse_type(text)
    except ValueError:
        raise NotTaken(
            f"Column, parameter, or variable: Cannot find data type {text.partition('(')[0]}.", 2715
        ) from None


def parts_of(tokens: Tokens) -> list[Tokens]:
    """By the commas that are in no bracket."""
    out: list[Tokens] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and depth == 0:
            out.append([])
        else:
            out[-1].append(token)
    return [part for part in out if part]


# ---- columns


def column(tokens: Tokens, table: Table) -> ColumnMade:
    reader = Reader(tokens)
    name = reader.name()
    if reader.taken("AS"):
        made = ColumnMade(name, TsqlType("int"), computed=render_tokens(reader.group()))
        reader.taken("PERSISTED")
        return made
    made = ColumnMade(name, reader.type())
    if made.type.name in ("rowversion", "timestamp"):
        made.nullable = False
    constraint = ""
    while not reader.ended:
        constraint = _column_part(reader, made, constraint, table)
    return made


def _column_part(reader: Reader, made: ColumnMade, constraint: str, table: Table) -> str:
    named = f"CONSTRAINT {quoted(constraint)} " if constraint else ""
    if reader.taken("CONSTRAINT"):
        return reader.name()
    if reader.taken("NOT", "NULL"):
        made.nullable = False
    elif reader.taken("NULL") or reader.taken("ROWGUIDCOL"):
        pass
    elif reader.taken("SPARSE"):
        made.flags["is_sparse"] = 1
    elif reader.taken("COLUMN_SET", "FOR", "ALL_SPARSE_COLUMNS"):
        made.flags["is_column_set"] = 1
    elif reader.taken("HIDDEN"):
        made.flags["is_hidden"] = 1
    elif reader.taken("GENERATED", "ALWAYS", "AS", "ROW"):
        begins = reader.name().upper() == "START"
        made.flags["generated_always_type"] = 1 if begins else 2
        made.default = f"tds.clock('UTC', {made.type.scale})" if begins else "'9999-12-31 23:59:59.9999999'"
    elif reader.taken("ENCRYPTED", "WITH"):
        reader.group()
        made.flags["encryption_type"] = 1
    elif reader.taken("COLLATE"):
        made.collation = reader.name()
    elif reader.taken("IDENTITY"):
        seed = (
            [int("".join(token.text for token in part)) for part in parts_of(reader.group())]
            if reader.peek() == "("
            else [1, 1]
        )
        made.identity, made.nullable = (seed[0], seed[1]), False
    elif reader.taken("PRIMARY", "KEY"):
        made.primary, made.nullable = True, False
        made.constraints.append(f"{named}PRIMARY KEY ({quoted(made.name)})")
        _clustered(reader)
    elif reader.taken("UNIQUE"):
        made.constraints.append(f"{named}UNIQUE NULLS NOT DISTINCT ({quoted(made.name)})")
        _clustered(reader)
    elif reader.taken("DEFAULT"):
        begun = reader.at
        if reader.peek() == "(":
            reader.group()
        else:
            reader.at += 1 + (reader.peek() in ("-", "+"))
            if reader.peek() == "(":
                reader.group()
        value = reader.tokens[begun : reader.at]
        made.default, made.default_text = render_tokens(value), "(" + " ".join(token.text for token in value) + ")"
        made.default_name = constraint or f"DF__{table.name}__{made.name}"
    elif reader.taken("CHECK"):
        made.constraints.append(f"{named}CHECK (tds.unchecked() OR ({render_tokens(reader.group())}))")
    elif reader.peek() in ("FOREIGN", "REFERENCES"):
        reader.taken("FOREIGN", "KEY")
        made.constraints.append(f"{named}FOREIGN KEY ({quoted(made.name)}) {_references(reader)}")
    else:
        raise reader.wrong()
    return ""


def _clustered(reader: Reader) -> None:
    reader.taken("CLUSTERED") or reader.taken("NONCLUSTERED")
    if reader.taken("WITH"):
        reader.group()
    if reader.taken("ON"):
        reader.name()


def _references(reader: Reader) -> str:
    reader.need("REFERENCES")
    text = f"REFERENCES {reader.table().sql}"
    if reader.peek() == "(":
        text += f" ({', '.join(_key_columns(reader.group()))})"
    while reader.taken("ON"):
        verb = reader.name()
        action = reader.name()
        if action.upper() in ("NO", "SET"):
            action += " " + reader.name()
        text += f" ON {verb} {action}"
    return text


def _key_columns(tokens: Tokens) -> list[str]:
    return [quoted(part[0].value) for part in parts_of(tokens)]


def table_constraint(tokens: Tokens, made: list[ColumnMade]) -> str:
    reader = Reader(tokens)
    if reader.taken("PERIOD", "FOR", "SYSTEM_TIME"):
        reader.group()
        return ""
    if reader.taken("INDEX"):
        reader.name()
        reader.need("CLUSTERED", "COLUMNSTORE")
        return ""
    named = f"CONSTRAINT {quoted(reader.name())} " if reader.taken("CONSTRAINT") else ""
    if reader.taken("PRIMARY", "KEY"):
        reader.taken("CLUSTERED") or reader.taken("NONCLUSTERED")
        group = reader.group()
        names = [part[0].value for part in parts_of(group)]
        for c in made:
            c.nullable = c.nullable and c.name not in names
        out = f"{named}PRIMARY KEY ({', '.join(map(quoted, names))})"
    elif reader.taken("UNIQUE"):
        reader.taken("CLUSTERED") or reader.taken("NONCLUSTERED")
        out = f"{named}UNIQUE NULLS NOT DISTINCT ({', '.join(_key_columns(reader.group()))})"
    elif reader.taken("CHECK"):
        out = f"{named}CHECK (tds.unchecked() OR ({render_tokens(reader.group())}))"
    elif reader.taken("FOREIGN", "KEY"):
        keys = ", ".join(_key_columns(reader.group()))
        return f"{named}FOREIGN KEY ({keys}) {_references(reader)}"
    else:
        raise reader.wrong()
    _clustered(reader)
    if not reader.ended:
        raise reader.wrong()
    return out


def _is_constraint(part: Tokens) -> bool:
    return part[0].upper in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "INDEX", "PERIOD")


# ---- statements: each is a list of PostgreSQL's


def note(table: Table, c: ColumnMade) -> str:
    """Keeps the column's declared type."""
    t = c.type
    where = f"attrelid = {literal(table.sql)}::regclass AND attname = {literal(c.name)} AND NOT attisdropped"
    precision = t.precision or {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19, "bit": 1}.get(t.name, 0)
    texts = [literal(text) if text else "NULL" for text in (c.computed, c.default_name, c.default_text, c.collation)]
    return (
        "INSERT INTO tds.columns SELECT attrelid, attnum, attname, "
        f"{literal(t.name)}, {t.length}, {precision}, {t.scale}, {t.max_length}, {SYSTEM_TYPE_IDS[t.name]},"
        f" {c.nullable}, {bool(c.identity)}, {c.computed is not None}, {', '.join(texts)}"
        f" FROM pg_attribute WHERE {where}"
    )


def notes(table: Table, c: ColumnMade) -> list[str]:
    """The same with what sys.columns says beside the type."""
    return [note(table, c)] + [
        f"INSERT INTO tds.flags SELECT attrelid, attnum, {literal(flag)}, {value} FROM pg_attribute WHERE attrelid ="
        f" {literal(table.sql)}::regclass AND attname = {literal(c.name)} AND NOT attisdropped"
        for flag, value in c.flags.items()
    ]


def graph(table: Table, node: bool) -> list[ColumnMade]:
    """What AS NODE and AS EDGE add: ids that nobody may select, and what is computed of them."""
    tail, wide = table.name.upper().replace(" ", "_"), TsqlType("nvarchar", 1000)
    made = [ColumnMade(f"graph_id_{tail}", TsqlType("bigint"), False, (0, 1), flags={"graph_type": 1, "is_hidden": 1})]
    kinds = [("node_id", 2)] if node else [("edge_id", 2), ("from_id", 5), ("to_id", 8)]
    for word, kind in kinds:
        id_column = f'"graph_id_{tail}"::bigint::text' if kind == 2 else "'0'"
        known = json.dumps({"type": "node" if node else "edge", "schema": table.schema, "table": table.name})
        text = f"{literal(known[:-1])} || ', \"id\": ' || {id_column} || '}}'"
        made.append(ColumnMade(f"${word}_{tail}", wide, computed=text, flags={"graph_type": kind}))
    if not node:
        made += [ColumnMade(f"{word}_{tail}", TsqlType("bigint"), flags={"graph_type": kind, "is_hidden": 1})
                 for word, kind in (("from_id", 3), ("from_obj_id", 4), ("to_id", 6), ("to_obj_id", 7))]
    return made


def create_type(reader: Reader) -> list[str]:
    """An alias type."""
    table = reader.table()
    reader.need("FROM")
    kind = reader.type()
    ALIASES[table.name.lower()] = kind
    return [
        f"INSERT INTO tds.types VALUES ({literal(table.name)}, {SYSTEM_TYPE_IDS[kind.name]}, (SELECT"
        f" greatest(max(user_type_id), 256) + 1 FROM tds.types), {kind.max_length}, {kind.precision}, {kind.scale})"
    ]


def renorm(table: Table) -> str:
    return f"SELECT tds.renorm({literal(table.sql)}::regclass)"


def create_table(reader: Reader) -> list[str]:
    table = reader.table()
    parts = parts_of(reader.group())
    if reader.taken("ON"):
        reader.name()
    if reader.taken("TEXTIMAGE_ON"):
        reader.name()
    if reader.taken("WITH"):
        reader.group()
    kind = reader.name().upper() if reader.taken("AS") else ""
    if not reader.ended:
        raise reader.wrong()
    columns = [column(part, table) for part in parts if not _is_constraint(part)]
    columns += graph(table, kind == "NODE") if kind in ("NODE", "EDGE") else []
    constraints = [table_constraint(part, columns) for part in parts if _is_constraint(part)]
    names = [c.name for c in columns]
    for name in names:
        if names.count(name) > 1:
            raise NotTaken(
                "Column names in each table must be unique. Column name"
                f" '{name}' in table '{table.name}' is specified more than once.",
                2705,
                16,
                3,
            )
    parts_made = [c.definition() for c in columns] + [text for c in columns for text in c.constraints]
    parts_made += [text for text in constraints if text]
    keyed = [text for text in parts_made if "PRIMARY KEY (" in text and not text.startswith('"')]
    if keyed and "CONSTRAINT" not in keyed[0].split("PRIMARY")[0]:
        at = parts_made.index(keyed[0])
        parts_made[at] = f"CONSTRAINT {quoted('PK__' + table.name)} {keyed[0]}" if table.schema else keyed[0]
    out = [f"CREATE {'' if table.schema else 'TEMPORARY '}TABLE {table.sql} ({', '.join(parts_made)})"]
    return out + [text for c in columns for text in notes(table, c)] + [renorm(table)]


def alter_table(reader: Reader) -> list[str]:
    table = reader.table()
    head = f"ALTER TABLE {table.sql}"
    if reader.taken("WITH", "CHECK") or reader.taken("WITH", "NOCHECK"):
        pass
    if reader.taken("ADD"):
        out = []
        for part in parts_of(reader.tokens[reader.at :]):
            if part[0].upper == "CONSTRAINT" and part[2].upper == "DEFAULT":
                out += add_default(table, head, part)
            elif _is_constraint(part):
                out.append(f"{head} ADD {table_constraint(part, [])}")
                if "PRIMARY" in (token.upper for token in part):
                    out.append(_now_not_null(table))
            else:
                made = column(part, table)
                out += [
                    f"{head} ADD COLUMN {made.definition()}",
                    *(f"{head} ADD {text}" for text in made.constraints),
                    *notes(table, made),
                ]
        return [*out, renorm(table)]
    if reader.taken("ALTER", "COLUMN"):
        return alter_column(reader, table, head)
    if reader.taken("DROP", "COLUMN"):
        exists = "IF EXISTS " if reader.taken("IF", "EXISTS") else ""
        names = [part[-1].value for part in parts_of(reader.tokens[reader.at :])]
        return (
            [f"SELECT tds.droppable({literal(table.sql)}::regclass, {literal(name)})" for name in names]
            + [f"{head} DROP COLUMN {exists}{quoted(name)} RESTRICT" for name in names]
            + [renorm(table)]
        )
    if reader.taken("DROP", "CONSTRAINT") or reader.taken("DROP"):
        exists = reader.taken("IF", "EXISTS")
        return [
            f"SELECT tds.drop_constraint({literal(table.sql)}::regclass, {literal(part[-1].value)}, {exists})"
            for part in parts_of(reader.tokens[reader.at :])
        ]
    if reader.peek() in ("REBUILD", "SET"):
        return ["SELECT 1 WHERE false"]
    if reader.taken("CHECK", "CONSTRAINT") or reader.taken("NOCHECK", "CONSTRAINT"):
        raise NotTaken("The stand-in does not switch constraints on and off.")
    raise reader.wrong()


def add_default(table: Table, head: str, part: Tokens) -> list[str]:
    at = next(i for i, token in enumerate(part) if token.upper == "FOR")
    value, name, constraint = part[3:at], part[at + 1].value, part[1].value
    text = "(" + " ".join(token.text for token in value) + ")"
    return [
        f"{head} ALTER COLUMN {quoted(name)} SET DEFAULT {render_tokens(value)}",
        f"UPDATE tds.columns SET default_name = {literal(constraint)}, default_definition = {literal(text)}"
        f" WHERE relid = {literal(table.sql)}::regclass AND name = {literal(name)}",
    ]


def _now_not_null(table: Table) -> str:
    return (
        f"UPDATE tds.columns c SET is_nullable = false FROM pg_attribute a WHERE c.relid ="
        f" {literal(table.sql)}::regclass AND a.attrelid = c.relid AND a.attnum = c.attnum AND a.attnotnull"
    )


def alter_column(reader: Reader, table: Table, head: str) -> list[str]:
    """The type and whether NULLs may be: without a word they may."""
    made = column(reader.tokens[reader.at :], table)
    name, t = quoted(made.name), made.type
    where = f"relid = {literal(table.sql)}::regclass AND name = {literal(made.name)}"
    precision = t.precision or {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19, "bit": 1}.get(t.name, 0)
    return [
        f"SELECT tds.alterable({literal(table.sql)}::regclass, {literal(made.name)})",
        f"DROP TRIGGER IF EXISTS tds_norm ON {table.sql}",
        f"{head} ALTER COLUMN {name} TYPE {t.storage} USING tds.convert({name}, {literal(t.name)},"
        f" {t.length}, {t.scale},"
        f" {literal(table.plain)}, {literal(made.name)})::{t.storage}",
        f"{head} ALTER COLUMN {name} {'DROP' if made.nullable else 'SET'} NOT NULL",
        f'UPDATE tds.columns SET type = {literal(t.name)}, length = {t.length}, "precision" = {precision},'
        f" scale = {t.scale}, max_length = {t.max_length}, system_type_id = {SYSTEM_TYPE_IDS[t.name]},"
        f" is_nullable = {made.nullable} WHERE {where}",
        f"SELECT tds.capture_altered({literal(table.sql)}::regclass, {literal(made.name)}, {literal(t.storage)})",
        renorm(table),
    ]


def create_index(reader: Reader, unique: bool) -> list[str]:
    clustered = reader.taken("CLUSTERED")
    reader.taken("NONCLUSTERED")
    reader.need("INDEX")
    name = reader.name()
    reader.need("ON")
    table = reader.table()
    keys = []
    for part in parts_of(reader.group()):
        down = len(part) > 1 and part[1].upper == "DESC"
        keys.append(quoted(part[0].value) + (" DESC" if down else ""))
    include = f" INCLUDE ({', '.join(_key_columns(reader.group()))})" if reader.taken("INCLUDE") else ""
    where = ""
    if reader.taken("WHERE"):
        begun = reader.at
        while not reader.ended and reader.peek() not in ("WITH", "ON"):
            reader.at += 1
        where = f" WHERE {render_tokens(reader.tokens[begun : reader.at])}"
    _clustered(reader)
    # One NULL is all that a unique index of SQL Server takes.
    nulls = " NULLS NOT DISTINCT" if unique else ""
    body = f"ON {table.sql} ({', '.join(keys)}){include}{nulls}{where}"
    return [
        f"SELECT tds.create_index({literal(table.sql)}::regclass, {literal(name)}, {unique}, {literal(body)},"
        f" {clustered})"
    ]


def drop(reader: Reader) -> list[str]:
    kind = reader.name().upper()
    if kind not in ("TABLE", "VIEW", "INDEX", "SCHEMA"):
        raise NotTaken(f"The stand-in does not take DROP {kind}.")
    exists = reader.taken("IF", "EXISTS")
    out = []
    for part in parts_of(reader.tokens[reader.at :]):
        inner = Reader(part)
        if kind == "INDEX":
            name = inner.name()
            inner.need("ON")
            out.append(f"SELECT tds.drop_index({literal(inner.table().sql)}::regclass, {literal(name)}, {exists})")
        elif kind == "SCHEMA":
            out.append(f"DROP SCHEMA {'IF EXISTS ' if exists else ''}{quoted(inner.name())}")
        else:
            out.append(f"DROP {kind} {'IF EXISTS ' if exists else ''}{inner.table().sql}")
    return out
