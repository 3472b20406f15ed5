"""T-SQL to what PostgreSQL takes: the part of the language that data-movement clients and these tests use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp

from .tsqltypes import STORAGE, SYSTEM_TYPE_IDS, TsqlType, parse_type


class NotTaken(Exception):
    """A statement that the stand-in does not know: number and text of the error."""

    def __init__(self, text: str, number: int = 102):
        super().__init__(text)
        self.number = number


@dataclass
class Statement:
    """kind: query, procedure, describe, bulk, begin, commit, rollback, nothing. Several SQL texts where one
    needs them."""

    kind: str
    sql: list[str] = field(default_factory=list)
    command: int = 0xC1
    arguments: dict[str, str] = field(default_factory=dict)


TIMES = ("date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset")
COMMANDS = {exp.Select: 0xC1, exp.Insert: 0xC3, exp.Delete: 0xC4, exp.Update: 0xC5}
_TRAN = re.compile(r"\s*(begin|commit|rollback)\s*(tran(saction)?|work)?\s*;?\s*$", re.I)
_SET = re.compile(r"\s*set\s+(?!identity_insert)[a-z_]+.*$", re.I | re.S)
_IDENTITY_INSERT = re.compile(r"\s*set\s+identity_insert\s+\S+\s+(on|off)\s*;?\s*$", re.I)
_VERSION = re.compile(r"@@version", re.I)
_TRANCOUNT = re.compile(r"@@trancount", re.I)
_NO_BYTES = re.compile(r"\b0x(?![0-9a-f])", re.I)
_SPID = re.compile(r"@@spid", re.I)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def split(batch: str) -> list[str]:
    """Statements of a batch by semicolons, and by lines that begin a new one without."""
    out, current, quote = [], "", ""
    for ch in batch:
        if quote:
            quote = "" if ch == quote else quote
        elif ch in "'\"[":
            quote = "]" if ch == "[" else ch
        elif ch == ";":
            out.append(current)
            current = ""
            continue
        current += ch
    out.append(current)
    return [text for text in (part.strip() for part in out) if text]


_CLUSTERED = re.compile(r"\s*create\s+(unique\s+)?((?:non)?clustered)\s+index\b", re.I)
_EXEC = re.compile(r"\s*exec(?:ute)?\s+(?:\[?sys\]?\.)?\[?(sp_\w+)\]?\s*(.*)$", re.I | re.S)
_FMTONLY = re.compile(r"\s*set\s+fmtonly\s+on\s+(select\s.*?)\s+set\s+fmtonly\s+off\s*$", re.I | re.S)
_NAME = re.compile(r"\[(?:[^\]]|\]\])+\]|[^.\s\[\]]+")
_BULK = re.compile(r"\s*insert\s+bulk\s+((?:\[(?:[^\]]|\]\])+\]|[^\s(])+)\s*\(.*$", re.I | re.S)
_ARGUMENT = re.compile(r"@(\w+)\s*=\s*(N?'(?:[^']|'')*'|\w+)")
_LOST = re.compile(r'(?<=[\w\]"])(\s+)(text|ntext|real)\b', re.I)  # types that the parser takes for others


def translate(text: str, trancount: int = 0, spid: int = 51) -> Statement:
    tran = _TRAN.match(text)
    if tran and (tran[2] or tran[1].lower() != "begin"):
        return Statement(tran[1].lower())
    procedure = _EXEC.match(text)
    if procedure:
        arguments = {name.lower(): value.removeprefix("N").strip("'").replace("''", "'")
                     for name, value in _ARGUMENT.findall(procedure[2])}
        return Statement("procedure", [procedure[1].lower()], 0xE0, arguments)
    described = _FMTONLY.match(text)
    if described:
        return Statement("describe", [render(sqlglot.parse_one(described[1], read="tsql"))])
    bulk = _BULK.match(text)
    if bulk:
        parts = [part.strip("[]").replace("]]", "]") for part in _NAME.findall(bulk[1])]
        table = ".".join(quoted(part) for part in (parts if len(parts) > 1 else ["dbo", *parts]))
        return Statement("bulk", [table], 0xC3)
    if _IDENTITY_INSERT.match(text) or _SET.match(text):
        return Statement("nothing", command=0xBE)
    text = _TRANCOUNT.sub(str(trancount), _SPID.sub(str(spid), text))
    text = _NO_BYTES.sub("CAST('' AS VARBINARY(1))", text)
    text = _VERSION.sub("'Microsoft SQL Server 2022 (stand-in)'", text)
    if re.match(r"\s*create\s+table\b", text, re.I):
        text = _LOST.sub(r"\1tds_\2", text)
    clustered = _CLUSTERED.match(text)
    if clustered is not None:
        text = text[: clustered.start(2)] + text[clustered.end(2) :]
    try:
        tree = sqlglot.parse_one(text, read="tsql")
    except sqlglot.errors.ParseError as error:
        raise NotTaken(f"Incorrect syntax: {str(error).splitlines()[0]}") from None
    if isinstance(tree, exp.Create) and (tree.args.get("kind") or "").upper() == "TABLE":
        return Statement("query", create_table(tree), 0xC6)
    if clustered is not None and isinstance(tree, exp.Create):
        table = tree.this.args["table"]
        cluster = f"ALTER TABLE {quoted(table.db or 'dbo')}.{quoted(table.name)} CLUSTER ON {quoted(tree.this.name)}"
        return Statement("query", [render(tree), *([cluster] if clustered[2].lower() == "clustered" else [])], 0xC6)
    if not isinstance(tree, (exp.Select, exp.Insert, exp.Update, exp.Delete, exp.Drop, exp.Create, exp.Alter,
                             exp.TruncateTable, exp.Union, exp.With)):
        raise NotTaken(f"The stand-in does not take: {text[:80]}")
    return Statement("query", [render(tree)], COMMANDS.get(type(tree), 0xC1))


def _storage(kind: exp.DataType) -> str:
    try:
        return parse_type(kind.sql(dialect="tsql")).storage
    except ValueError:
        return kind.sql(dialect="postgres")


def _declared(kind: exp.DataType) -> TsqlType | None:
    try:
        return parse_type(kind.sql(dialect="tsql"))
    except ValueError:
        return None


def _change(node: exp.Expression) -> exp.Expression:
    if isinstance(node, exp.Table):
        node.set("hints", None)
        if node.catalog.lower() == "msdb":
            node.set("db", exp.to_identifier("sys", quoted=True))
        if not node.args.get("db") and not node.name.startswith("#") and node.name:
            node.set("db", exp.to_identifier("dbo", quoted=True))
        node.set("catalog", None)
    elif isinstance(node, exp.HexString):
        return sqlglot.parse_one(f"decode('{str(node.this).removeprefix('0x')}', 'hex')", read="postgres")
    elif isinstance(node, exp.CurrentTimestampLTZ):  # SYSDATETIMEOFFSET()
        return exp.Anonymous(this="sysdatetimeoffset")
    elif isinstance(node, exp.National):
        return exp.Literal.string(str(node.this))
    elif isinstance(node, (exp.Cast, exp.TryCast)) and isinstance(node.to, exp.DataType):
        kind = _declared(node.to)
        if kind is not None and kind.name in TIMES:
            text = exp.Cast(this=node.this.transform(_change), to=exp.DataType.build("text", dialect="postgres"))
            return exp.Anonymous(this="tds.norm_time", expressions=[
                text, exp.Literal.string(kind.name), exp.Literal.number(kind.scale)])
        cast = exp.Cast(this=node.this.transform(_change), to=exp.DataType.build(_storage(node.to), dialect="postgres"))
        # Else a column that is kept as a text would stay itself, with its declared type.
        return exp.Coalesce(this=cast, expressions=[]) if _storage(node.to) == "text" else cast
    return node


def render(tree: exp.Expression) -> str:
    return tree.transform(_change).sql(dialect="postgres", identify=True)


# ---- tables


@dataclass
class ColumnMade:
    name: str
    type: TsqlType
    nullable: bool = True
    identity: bool = False
    computed: str | None = None
    default: str | None = None
    primary: bool = False
    unique: bool = False


def _column(node: exp.ColumnDef) -> ColumnMade:
    kind = node.args.get("kind")
    made = ColumnMade(node.name, parse_type(kind.sql(dialect="tsql")) if kind is not None else TsqlType("int"))
    for constraint in node.args.get("constraints") or []:
        what = constraint.kind
        if isinstance(what, exp.NotNullColumnConstraint):
            made.nullable = bool(what.args.get("allow_null"))
        elif isinstance(what, exp.PrimaryKeyColumnConstraint):
            made.primary, made.nullable = True, False
        elif isinstance(what, (exp.GeneratedAsIdentityColumnConstraint, exp.AutoIncrementColumnConstraint)):
            made.identity, made.nullable = True, False
        elif isinstance(what, exp.UniqueColumnConstraint):
            made.unique = True
        elif isinstance(what, exp.DefaultColumnConstraint):
            made.default = render(what.this)
        elif isinstance(what, exp.ComputedColumnConstraint):
            made.computed = render(what.this)
    if made.type.name in ("rowversion", "timestamp"):
        made.nullable = False
    return made


def _definition(c: ColumnMade) -> str:
    text = f"{quoted(c.name)} {c.type.storage}"
    if c.type.name in ("rowversion", "timestamp"):
        return text + " NOT NULL DEFAULT nextval('tds.rowversions')"
    if c.computed is not None:
        return text + f" GENERATED ALWAYS AS ({c.computed}) STORED"
    text += " GENERATED BY DEFAULT AS IDENTITY" if c.identity else ""
    text += f" DEFAULT {c.default}" if c.default is not None else ""
    text += " UNIQUE" if c.unique else ""
    return text + ("" if c.nullable else " NOT NULL")


def normal(c: ColumnMade) -> str | None:
    """The assignment that brings a value into its one form."""
    new, t = f"NEW.{quoted(c.name)}", c.type
    if c.computed is not None:
        return None
    if t.name in TIMES:
        return f"{new} := tds.norm_time({new}, '{t.name}', {t.scale})"
    if t.name in ("char", "nchar", "varchar", "nvarchar") and t.length >= 0:
        return f"{new} := tds.norm_text({new}, {t.length}, {t.name in ('char', 'nchar')}, {literal(c.name)})"
    if t.name in ("binary", "varbinary") and t.length >= 0:
        return f"{new} := tds.norm_bytes({new}, {t.length}, {t.name == 'binary'}, {literal(c.name)})"
    if t.name in ("rowversion", "timestamp"):
        return f"{new} := nextval('tds.rowversions')"
    return None


def create_table(tree: exp.Create) -> list[str]:
    schema = tree.this
    table = schema.this
    temporary = table.name.startswith("#")
    name = quoted(table.name) if temporary else f"{quoted(table.db or 'dbo')}.{quoted(table.name)}"
    columns = [_column(node) for node in schema.expressions if isinstance(node, exp.ColumnDef)]
    parts = [_definition(c) for c in columns]
    parts += [f"PRIMARY KEY ({quoted(c.name)})" for c in columns if c.primary]
    for node in schema.expressions:
        inner = node.expressions[0] if isinstance(node, exp.Constraint) and node.expressions else node
        if isinstance(inner, exp.PrimaryKey):
            keys = [key.find(exp.Identifier).name for key in inner.expressions]
            parts.append(f"PRIMARY KEY ({', '.join(map(quoted, keys))})")
            for c in columns:
                c.nullable = c.nullable and c.name not in keys
        elif not isinstance(inner, exp.ColumnDef):
            parts.append(render(inner))
    out = [f"CREATE {'TEMPORARY ' if temporary else ''}TABLE {name} ({', '.join(parts)})"]
    out += [note(name, c) for c in columns]
    lines = [line for line in map(normal, columns) if line is not None]
    if lines:
        body = literal("BEGIN " + "; ".join(lines) + "; RETURN NEW; END")
        function = f"tds.{quoted('norm ' + name)}" if not temporary else f"pg_temp.{quoted('norm ' + name)}"
        out.append(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {body}")
        out.append(f"CREATE TRIGGER tds_norm BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW"
                   f" EXECUTE FUNCTION {function}()")
    return out


def note(table: str, c: ColumnMade) -> str:
    """Keeps the column's declared type."""
    t = c.type
    where = f"attrelid = {literal(table)}::regclass AND attname = {literal(c.name)}"
    precision = t.precision or {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19, "bit": 1}.get(t.name, 0)
    return ("INSERT INTO tds.columns SELECT attrelid, attnum, attname, "
            f"{literal(t.name)}, {t.length}, {precision}, {t.scale}, {t.max_length}, {SYSTEM_TYPE_IDS[t.name]},"
            f" {c.nullable}, {c.identity}, {c.computed is not None}, {literal(c.computed) if c.computed else 'NULL'}"
            f" FROM pg_attribute WHERE {where}")


assert set(SYSTEM_TYPE_IDS) == set(STORAGE)
