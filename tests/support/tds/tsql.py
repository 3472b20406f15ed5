"""T-SQL's queries and changes to what PostgreSQL takes, by sqlglot; what it does not know is regularised before and
mended after it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import sqlglot
from sqlglot import exp

from .errors import NotTaken
from .lexer import Token, lex
from .tsqltypes import STORAGE, SYSTEM_TYPE_IDS, TsqlType, parse_type

__all__ = ["NotTaken", "Query", "literal", "quoted", "translate"]

CHANGES = "\u00a7changes\u00a7"  # of a table behind a version: engine.bind() knows it
TEMPORARY = "\u00a7t\u00a7"  # for a # that the parser would take off
COMMANDS = {"SELECT": 0xC1, "INSERT": 0xC3, "DELETE": 0xC4, "UPDATE": 0xC5, "MERGE": 0x117}
HINTS = {
    "TABLOCK",
    "TABLOCKX",
    "UPDLOCK",
    "XLOCK",
    "HOLDLOCK",
    "ROWLOCK",
    "PAGLOCK",
    "NOLOCK",
    "READPAST",
    "READCOMMITTED",
    "READUNCOMMITTED",
    "REPEATABLEREAD",
    "SERIALIZABLE",
    "SNAPSHOT",
    "NOWAIT",
    "KEEPIDENTITY",
    "KEEPDEFAULTS",
    "INDEX",
    "FORCESEEK",
    "READCOMMITTEDLOCK",
    "NOEXPAND",
    "IGNORE_CONSTRAINTS",
    "IGNORE_TRIGGERS",
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass
class Query:
    """What PostgreSQL is asked: $n are the variables in that order. target: the table that is changed, as its parts.
    types: of the result's columns, where the text says them."""

    sql: str
    verb: str
    variables: list[str] = field(default_factory=list)
    target: tuple[str, str] | None = None
    columns: list[str] | None = None
    assigned: list[str] = field(default_factory=list)
    types: list[TsqlType | str | None] = field(default_factory=list)
    tree: exp.Expression | None = None
    returning: bool = False

    @property
    def command(self) -> int:
        return COMMANDS[self.verb]


# ---- before the parser


def regular(tokens: list[Token]) -> list[str]:
    """Tokens as the parser takes them: no hints, no options, temporary tables as names, @@variables as variables."""
    out: list[str] = []
    at = 0
    while at < len(tokens):
        token, word = tokens[at], tokens[at].upper
        following = tokens[at + 1].text if at + 1 < len(tokens) else ""
        if word == "WITH" and following == "(" and tokens[at + 2].upper in HINTS:
            at = close(tokens, at + 1) + 1
            continue
        if word == "OPTION" and following == "(":
            at = close(tokens, at + 1) + 1
            continue
        if word == "COLLATE":
            at += 2
            continue
        if word == "TEMPDB" and following == ".":
            at += 3 if tokens[at + 2].text == "." else 4
            continue
        if word == "CHANGETABLE" and following == "(":
            end = close(tokens, at + 1)
            out += changes(tokens[at + 2 : end])
            at = end + 1
            continue
        if token.kind == "name" and token.text.startswith("#"):
            out.append(f"[{TEMPORARY}{token.text[1:]}]")
        elif token.kind == "variable" and token.text.startswith("@@"):
            out.append("@__" + token.text[2:].lower())
        elif token.kind == "hex" and len(token.text) == 2:
            out.append("CAST('' AS VARBINARY(1))")
        elif token.kind == "sign" and len(token.text) == 2 and token.text[1] == "=" and token.text[0] in "+-*/%":
            out.append(f"= {out[-1]} {token.text[0]}")
        elif word == "REAL" and out and out[-1].upper() == "AS" and following == ")":
            out.append("float(24)")  # the parser takes it for float
        elif word == "IDENTITYCOL":
            raise NotTaken("The stand-in does not take IDENTITYCOL.")
        else:
            out.append(token.text)
        at += 1
    return out


def changes(tokens: list[Token]) -> list[str]:
    """CHANGES table, version: as a name that says both."""
    comma = next((i for i, token in enumerate(tokens) if token.text == ","), 0)
    since = tokens[comma + 1 :]
    if since[1:2] and since[1].text == "," and since[2].upper == "FORCESEEK":
        since = since[:1]
    if tokens[0].upper != "CHANGES" or comma < 2:
        raise NotTaken("The stand-in takes CHANGETABLE of CHANGES alone.")
    names = [token.value for token in tokens[1:comma] if token.text != "."]
    if len(since) != 1 or not (since[0].kind in ("number", "variable") or since[0].upper == "NULL"):
        raise NotTaken(f"Incorrect syntax near '{since[-1].text if since else ')'}'.", 102)
    told = "\0".join([names[-2] if len(names) > 1 else "dbo", names[-1], since[0].text])
    return ["[tds]", ".", f"[{CHANGES}{told.encode().hex()}]"]


def close(tokens: list[Token], at: int) -> int:
    """Of the bracket that opens at."""
    depth = 0
    for i in range(at, len(tokens)):
        depth += (tokens[i].text == "(") - (tokens[i].text == ")")
        if depth == 0:
            return i
    raise NotTaken("Incorrect syntax near '('.")


_TOP = re.compile(r"^(DELETE|UPDATE) TOP \( (\d+) \)( FROM)? ", re.I)


@lru_cache(4096)
def _shape(text: str) -> tuple[Query, int]:
    """Of a statement whose literals are out."""
    top = _TOP.match(text)
    limit = int(top[2]) if top else -1
    if top:
        text = f"{top[1]}{top[3] or ''} {text[top.end() :]}"
    try:
        tree = sqlglot.parse_one(text, read="tsql")
    except sqlglot.errors.SqlglotError as error:
        first = re.sub(r"\x1b\[\d*m", "", str(error).splitlines()[0])
        raise NotTaken(f"Incorrect syntax: {first}") from None
    for name in tree.find_all(exp.Identifier):
        if name.name.startswith(TEMPORARY):
            name.set("this", "#" + name.name.removeprefix(TEMPORARY))
    verb = text.split(None, 1)[0].upper()
    kinds = {
        "SELECT": (exp.Select, exp.SetOperation, exp.Subquery),
        "INSERT": exp.Insert,
        "DELETE": exp.Delete,
        "UPDATE": exp.Update,
        "MERGE": exp.Merge,
    }
    if verb == "WITH":
        verb = next((name for name, kind in kinds.items() if isinstance(tree, kind)), "")
    if verb not in kinds or not isinstance(tree, kinds[verb]):
        raise NotTaken(f"The stand-in does not take: {text[:120]}")
    return _query(tree, verb, limit), limit


def translate(tokens: list[Token]) -> Query:
    """One statement. Literals are taken out of changes, so that statements of one shape are parsed once."""
    verb = tokens[0].upper
    words = regular(tokens)
    texts: list[str] = []
    if verb in ("INSERT", "UPDATE", "DELETE"):
        words = _without_literals(words, texts)
    made, _ = _shape(" ".join(words))
    if not texts:
        return made
    sql = re.sub(r"'\u00a7(\d+)\u00a7'", lambda match: texts[int(match[1])], made.sql)
    return Query(
        sql, made.verb, made.variables, made.target, made.columns, made.assigned, made.types, made.tree, made.returning
    )


def _without_literals(words: list[str], texts: list[str]) -> list[str]:
    out: list[str] = []
    for i, word in enumerate(words):
        first = word[0]
        if first == "'" or (first in "Nn" and word[1:2] == "'"):
            texts.append(word.lstrip("Nn"))
        elif (
            first.isdigit()
            and word[:2].lower() != "0x"
            and out
            and out[-1] == "="
            and (i + 1 == len(words) or words[i + 1].upper() in (",", "AND", ")", "WHERE"))
        ):
            texts.append(word)
        elif first.isdigit() and word[:2].lower() == "0x":
            texts.append(f"decode('{word[2:] if len(word) % 2 == 0 else '0' + word[2:]}', 'hex')")
        else:
            out.append(word)
            continue
        out.append(f"'\u00a7{len(texts) - 1}\u00a7'")
    return out


# ---- after it


def _call(name: str, *arguments: exp.Expression | str | int | bool) -> exp.Expression:
    """tds.name(…) as it stands."""
    texts: list[exp.Expression] = []
    for argument in arguments:
        if isinstance(argument, exp.Expression):
            texts.append(argument)
        elif isinstance(argument, bool):
            texts.append(exp.Boolean(this=argument))
        elif isinstance(argument, int):
            texts.append(exp.Literal.number(argument))
        else:
            texts.append(exp.Literal.string(argument))
    return exp.Dot(
        this=exp.Identifier(this="tds", quoted=True), expression=exp.Anonymous(this=name, expressions=texts)
    )


def _is_wide(node: exp.Expression) -> bool:
    """A value that was made nvarchar, before its own cast was mended or behind that."""
    if isinstance(node, exp.Cast):
        kind = node.to.sql(dialect="tsql").lower()
        text = node.to.this == exp.DataType.Type.TEXT and isinstance(node.this, (exp.Column, exp.Subquery))
        return kind.startswith(("nvarchar", "nchar")) or text
    call = node.expression if isinstance(node, exp.Dot) else None
    return isinstance(call, exp.Anonymous) and call.name == "cast_text" and call.expressions[2] == exp.true()


def cast(value: exp.Expression, t: TsqlType) -> exp.Expression:
    """As T-SQL converts."""
    text = exp.Cast(this=value, to=exp.DataType.build("text", dialect="postgres"))
    n = t.name
    if n in ("date", "time", "datetime", "smalldatetime", "datetime2", "datetimeoffset"):
        return _call("norm_time", text, n, t.scale)
    if n in ("char", "nchar", "varchar", "nvarchar"):
        return (
            text
            if t.length < 0 and n[0] == "n"
            else _call("cast_text", text, t.length, n[0] == "n", n in ("char", "nchar"))
        )
    if n in ("binary", "varbinary"):
        if isinstance(value, exp.Literal) and value.is_string:
            value = text
        if n == "varbinary" and (isinstance(value, exp.Column) or _is_wide(value)):
            return _call("bytes_of", value)
        return _call("cast_bytes", value, t.length, n == "binary")
    if n == "bit":
        return _call("cast_bit", text)
    return exp.Cast(this=value, to=exp.DataType.build(t.storage, dialect="postgres"))


def storage_of(kind: exp.DataType) -> TsqlType:
    try:
        return parse_type(kind.sql(dialect="tsql"))
    except ValueError:
        raise NotTaken(f"Type {kind.sql(dialect='tsql')} is not a defined system type.", 243) from None


_CLOCKS = {"sysutcdatetime": ("UTC", 7), "sysdatetime": ("UTC", 7), "getutcdate": ("UTC", 3), "getdate": ("UTC", 3)}
FUNCTIONS = {"count_big": "count", "newid": "gen_random_uuid"}
# Functions whose names and arguments are PostgreSQL's or those of views.sql.
_TEXTS = (exp.DPipe, exp.Concat, exp.Substring, exp.Upper, exp.Lower)


def _is_text(node: exp.Expression | None) -> bool:
    if isinstance(node, exp.Paren):
        return _is_text(node.this)
    if isinstance(node, exp.Literal):
        return bool(node.is_string)
    if isinstance(node, (exp.Cast, exp.TryCast)):
        return node.to.sql(dialect="postgres").upper() in ("TEXT",) or node.to.sql(dialect="tsql").lower().startswith(
            ("varchar", "nvarchar", "char", "nchar")
        )
    if isinstance(node, exp.Dot):
        return isinstance(node.expression, exp.Anonymous) and node.expression.name in ("cast_text", "styled")
    return isinstance(node, (exp.National, *_TEXTS))


class Mender:
    """Walks a tree once; keeps the variables that it meets."""

    def __init__(self) -> None:
        self.variables: list[str] = []

    def __call__(self, node: exp.Expression) -> exp.Expression:
        method: Callable | None = getattr(self, "on_" + type(node).__name__.lower(), None)
        return method(node) if method is not None else node

    def on_table(self, node: exp.Table) -> exp.Expression:
        node.set("hints", None)
        if node.catalog.lower() == "msdb":
            node.set("db", exp.to_identifier("sys", quoted=True))
        node.set("catalog", None)
        name, db = node.name, node.args.get("db")
        if isinstance(node.this, exp.Identifier):
            schema = db.name if isinstance(db, exp.Identifier) else ""
            if name.startswith("#"):
                node.set("db", None)
            elif schema.lower() in ("sys", "information_schema"):
                node.set("db", exp.to_identifier(schema.lower(), quoted=True))
                node.set("this", exp.to_identifier(name.lower(), quoted=True))
            elif not schema and not _is_cte(node, name):
                node.set("db", exp.to_identifier("dbo", quoted=True))
        return node

    def on_hexstring(self, node: exp.HexString) -> exp.Expression:
        text = str(node.this).removeprefix("0x")
        return exp.Anonymous(
            this="decode", expressions=[exp.Literal.string("0" * (len(text) % 2) + text), exp.Literal.string("hex")]
        )

    def on_national(self, node: exp.National) -> exp.Expression:
        return exp.Literal.string(str(node.this))

    def on_cast(self, node: exp.Cast) -> exp.Expression:
        return (
            node
            if node.to.this == exp.DataType.Type.TEXT and isinstance(node.parent, exp.Length)
            else cast(node.this, storage_of(node.to))
        )

    def on_trycast(self, node: exp.TryCast) -> exp.Expression:
        """NULL where the conversion fails; texts and bytes always go."""
        kind = storage_of(node.to)
        if kind.name in ("char", "nchar", "varchar", "nvarchar", "binary", "varbinary", "bit"):
            return cast(node.this, kind)
        text = exp.Cast(this=node.this, to=exp.DataType.build("text", dialect="postgres"))
        came = exp.Cast(this=exp.Anonymous(this="pg_typeof", expressions=[node.this.copy()]),
                        to=exp.DataType.build("text", dialect="postgres"))
        tried = _call("try_cast", text, came, kind.name, kind.scale or 0, kind.storage)
        return exp.Cast(this=tried, to=exp.DataType.build(kind.storage, dialect="postgres"))

    def on_dot(self, node: exp.Dot) -> exp.Expression:
        method = node.expression
        if isinstance(method, exp.Anonymous) and method.name.lower() == "tostring":
            return _call("clr_text", node.this)
        return node

    def on_convert(self, node: exp.Convert) -> exp.Expression:
        kind, value, style = storage_of(node.this), node.expression, node.args.get("style")
        if style is not None and kind.name in ("char", "varchar", "nchar", "nvarchar"):
            value = _call("styled", value, style)
        return cast(value, kind)

    def on_add(self, node: exp.Add) -> exp.Expression:
        if _is_text(node.this) or _is_text(node.expression):
            return exp.DPipe(this=node.this, expression=node.expression)
        return node

    def on_length(self, node: exp.Length) -> exp.Expression:
        return exp.Anonymous(this="len", expressions=[node.this])

    def on_currenttimestamp(self, node: exp.CurrentTimestamp) -> exp.Expression:
        return _call("clock", "UTC", 3)

    def on_currenttimestampltz(self, node: exp.Expression) -> exp.Expression:
        return exp.DPipe(this=_call("clock", "UTC", 7), expression=exp.Literal.string(" +00:00"))

    def on_objectid(self, node: exp.ObjectId) -> exp.Expression:
        arguments = [node.this, *([node.expression] if node.expression else [])]
        return exp.Anonymous(this="object_id", expressions=arguments)

    def on_anonymous(self, node: exp.Anonymous) -> exp.Expression:
        name = node.name.lower()
        if name in _CLOCKS:
            return _call("clock", *_CLOCKS[name])
        if name == "switchoffset":
            return _call(name, *node.expressions)
        if name == "sysdatetimeoffset":
            return exp.DPipe(this=_call("clock", "UTC", 7), expression=exp.Literal.string(" +00:00"))
        if name in ("xact_state", "scope_identity", "error_number", "error_message", "error_severity", "error_state"):
            return self.variable("@@" + name)
        node.set("this", FUNCTIONS.get(name, name))
        return node

    def on_parameter(self, node: exp.Parameter) -> exp.Expression:
        name = "@" + node.name.lower()
        return self.variable("@@" + name[3:] if name.startswith("@__") else name)

    def variable(self, name: str) -> exp.Expression:
        if name not in self.variables:
            self.variables.append(name)
        return exp.Var(this=f"\u00abv{self.variables.index(name)}\u00bb")


def mended(tree: exp.Expression, mender: Mender) -> exp.Expression:
    """Parts before the whole, so that what is made of a part stays."""
    tree = tree.copy()
    for node in reversed(list(tree.walk())):
        new = mender(node)
        if new is node:
            continue
        if node is tree:
            tree = new
        else:
            node.replace(new)
    return tree


def _is_cte(node: exp.Expression, name: str) -> bool:
    at: exp.Expression | None = node
    while at is not None:
        ctes = at.args.get("with_") or at.args.get("with")
        if ctes is not None and any(cte.alias == name for cte in ctes.expressions):
            return True
        at = at.parent
    return False


def _query(tree: exp.Expression, verb: str, limit: int) -> Query:
    out = Query("", verb)
    if verb == "SELECT":
        out.assigned = _assignments(tree)
        out.types = [] if out.assigned else _types(tree)
    else:
        tree = _change(tree, verb, limit, out)
    mender = Mender()
    tree = mended(tree, mender)
    out.variables = mender.variables
    out.tree = tree
    out.sql = tree.sql(dialect="postgres", identify=True)
    if not out.sql.strip():
        raise NotTaken("The stand-in does not take such a statement.")
    return out


def render(tree: exp.Expression) -> str:
    """An expression without variables: of a default, a check, a computed column."""
    mender = Mender()
    sql = mended(tree, mender).sql(dialect="postgres", identify=True)
    if mender.variables:
        raise NotTaken("Variables are not allowed here.", 128)
    return sql


def render_tokens(tokens: list[Token]) -> str:
    text = " ".join(regular(tokens))
    try:
        return render(sqlglot.parse_one(text, read="tsql"))
    except sqlglot.errors.SqlglotError:
        raise NotTaken(f"Incorrect syntax near '{text[:60]}'.") from None


def _assignments(tree: exp.Expression) -> list[str]:
    """SELECT @a = x, @b = y: the variables; what they get stays as the columns."""
    if not isinstance(tree, exp.Select):
        return []
    names = []
    for i, node in enumerate(tree.expressions):
        if isinstance(node, exp.EQ) and isinstance(node.this, exp.Parameter):
            names.append("@" + node.this.name.lower())
            tree.expressions[i].replace(node.expression)
    if names and len(names) != len(tree.expressions):
        raise NotTaken(
            "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval"
            " operations.",
            141,
        )
    return names


def _types(tree: exp.Expression) -> list[TsqlType | str | None]:
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        tree = tree.this
    if any(
        isinstance(node, exp.Star) or node.find(exp.Star) and not isinstance(node, (exp.Count, exp.Alias))
        for node in tree.expressions
    ):
        return []
    return [_type_of(node) for node in tree.expressions]


def _type_of(node: exp.Expression) -> TsqlType | str | None:
    """A name is a variable: of the type that it has then."""
    if isinstance(node, (exp.Alias, exp.Paren)):
        return _type_of(node.this)
    if isinstance(node, (exp.Cast, exp.TryCast)):
        return storage_of(node.to)
    if isinstance(node, exp.Convert):
        return storage_of(node.this)
    if isinstance(node, exp.National):
        return TsqlType("nvarchar", min(max(len(str(node.this).encode("utf-16-le")) // 2, 1), 4000))
    if isinstance(node, exp.Literal) and node.is_string:
        return TsqlType("varchar", min(max(len(str(node.this)), 1), 8000))
    if isinstance(node, exp.HexString):
        return TsqlType("varbinary", max((len(str(node.this).removeprefix("0x")) + 1) // 2, 1))
    if isinstance(node, exp.Parameter):
        inner = node.this.name if isinstance(node.this, exp.Parameter) else node.name
        return "@@" + inner.lower()[2:] if inner.startswith("__") else "@" + inner.lower()
    if isinstance(node, exp.Anonymous) and node.name.lower() in (
        "xact_state",
        "scope_identity",
        "error_number",
        "error_message",
        "error_severity",
        "error_state",
    ):
        return "@@" + node.name.lower()
    if (
        isinstance(node, exp.Anonymous)
        and node.name.lower().startswith("fn_cdc_")
        and node.name.lower().endswith("lsn")
    ):
        return TsqlType("binary", 10)
    if isinstance(node, exp.Dot):
        return _type_of(node.expression)
    if isinstance(node, exp.Case):
        return _type_of(node.args["ifs"][0].args["true"])
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Select) and len(node.this.expressions) == 1:
        return _type_of(node.this.expressions[0])
    if isinstance(node, exp.Sum):
        summed = _type_of(node.this)
        name = summed.name if isinstance(summed, TsqlType) else ""
        return summed if name == "bigint" else TsqlType("int") if name in ("tinyint", "smallint", "int") else None
    if isinstance(node, (exp.Count, exp.DateDiff)):
        return TsqlType("bigint" if node.args.get("big_int") else "int")
    if isinstance(node, exp.Coalesce) and isinstance(node.this, exp.DateDiff):
        return _type_of(node.this)
    if isinstance(node, exp.Anonymous) and node.name.lower() in ("sysutcdatetime", "sysdatetime"):
        return TsqlType("datetime2", scale=7)
    if isinstance(node, exp.Anonymous) and node.name.lower() == "sysdatetimeoffset":
        return TsqlType("datetimeoffset", scale=7)
    if isinstance(node, exp.CurrentTimestamp):
        return TsqlType("datetime")
    return None


# ---- changes


def _parts(table: exp.Table) -> tuple[str, str]:
    return ("" if table.name.startswith("#") else table.text("db") or "dbo", table.name)


def _change(tree: exp.Expression, verb: str, limit: int, out: Query) -> exp.Expression:
    if verb == "INSERT":
        target = tree.this
        if isinstance(target, exp.Schema):
            out.columns = [node.name for node in target.expressions]
            target = target.this
        out.target = _parts(target)
    elif verb in ("UPDATE", "DELETE"):
        tree = _joined(tree, verb, out)
    if limit >= 0:
        _limit(tree, limit)
    returning = tree.args.get("returning")
    if returning is not None:
        out.returning = True
        if (
            tree.find(exp.Returning)
            and any(column.table.lower() == "deleted" for column in returning.find_all(exp.Column))
            and verb != "DELETE"
        ):
            raise NotTaken("The stand-in takes OUTPUT deleted of DELETE alone.")
        for column in list(returning.find_all(exp.Column)):
            if column.table.lower() in ("inserted", "deleted"):
                column.set(
                    "table", exp.to_identifier(tree.this.alias_or_name, quoted=True) if verb != "INSERT" else None
                )
    return tree


def _sources(first: exp.Table) -> tuple[list[exp.Expression], list[exp.Expression], bool]:
    """Tables that are joined, their conditions, and whether all joins are inner ones."""
    tables: list[exp.Expression] = [first]
    conditions, inner = [], True
    for join in first.args.get("joins") or []:
        tables.append(join.this)
        if join.args.get("on") is not None:
            conditions.append(join.args["on"])
        inner = inner and not join.side and (join.kind or "INNER").upper() in ("INNER", "CROSS")
    return tables, conditions, inner


def _joined(tree: exp.Expression, verb: str, out: Query) -> exp.Expression:
    """UPDATE t … FROM a AS t JOIN b, DELETE t FROM a AS t JOIN b: PostgreSQL has the target outside of the list."""
    if verb == "UPDATE":
        named, source = tree.this, (tree.args.get("from_") or tree.args.get("from"))
        first = source.this if source is not None else None
    else:
        tables = tree.args.get("tables") or []
        named, first = (tables[0], tree.this or None) if tables else (tree.this, None)
    more = list(first.args.get("joins") or []) if first is not None else []
    if first is not None and tree.args.get("joins"):
        more += tree.args["joins"]
        first.set("joins", more)
    if verb == "UPDATE":
        for assigned in tree.expressions:
            if not isinstance(assigned, exp.EQ):
                raise NotTaken("Incorrect syntax near 'SET'.")
            if isinstance(assigned.this, exp.Column):
                assigned.this.set("table", None)
                assigned.this.set("db", None)
    if first is None:
        out.target = _parts(named)
        new = tree.copy()
        if verb == "DELETE":
            new.set("tables", None)
            new.set("this", named.copy())
        return new
    tables, conditions, inner = _sources(first)
    wanted = named.name.lower()
    chosen = next(
        (
            t
            for t in tables
            if isinstance(t, exp.Table) and t.alias and t.alias.lower() == wanted and not named.text("db")
        ),
        None,
    )
    if chosen is None:
        chosen = next(
            (
                t
                for t in tables
                if isinstance(t, exp.Table) and t.name.lower() == wanted and _parts(t) == _parts(named)
            ),
            None,
        )
    if chosen is None:  # the target is not among them: a plain cross join with it
        raise NotTaken(f"The stand-in takes no {verb} of a table that is not in its FROM.")
    assert isinstance(chosen, exp.Table)
    out.target = _parts(chosen)
    return _rejoin(tree, verb, first, tables, conditions, chosen, inner)


def _rejoin(
    tree: exp.Expression,
    verb: str,
    first: exp.Expression,
    tables: list[exp.Expression],
    conditions: list[exp.Expression],
    chosen: exp.Table,
    inner: bool,
) -> exp.Expression:
    where = tree.args.get("where")
    all_of = [c.copy() for c in conditions] if inner else []
    if where is not None:
        all_of.append(where.this.copy())
    target = chosen.copy()
    target.set("joins", None)
    if inner:
        others = [t.copy() for t in tables if t is not chosen]
        for other in others:
            other.set("joins", None)
    else:  # the target once more beside the whole join, tied by where its row is
        others = [first.copy()]
        alias = chosen.alias or chosen.name
        target.set("alias", exp.TableAlias(this=exp.to_identifier("tds_target", quoted=True)))
        all_of.append(
            exp.EQ(
                this=exp.column("ctid", table="tds_target", quoted=True),
                expression=exp.column("ctid", table=alias, quoted=True),
            )
        )
    condition = exp.and_(*[exp.Paren(this=c) for c in all_of], copy=False) if all_of else None
    if verb == "UPDATE":
        made: exp.Expression = exp.Update(this=target, expressions=[e.copy() for e in tree.expressions])
        if others:
            source = others[0]
            if inner and len(others) > 1:
                source.set("joins", [exp.Join(this=other, kind="CROSS") for other in others[1:]])
            made.set("from_", exp.From(this=source))
    else:
        made = exp.Delete(this=target, using=others or None)
        if inner is False:
            made.set("using", others)
    if condition is not None:
        made.set("where", exp.Where(this=condition))
    if tree.args.get("returning") is not None:
        made.set("returning", tree.args["returning"].copy())
    return made


def _limit(tree: exp.Expression, limit: int) -> None:
    target = tree.this
    alias = target.alias or target.name
    inner = exp.select(exp.column("ctid", quoted=True)).from_(target.copy()).limit(limit)
    if tree.args.get("where") is not None:
        inner = inner.where(tree.args["where"].this.copy())
    tree.set(
        "where",
        exp.Where(this=exp.In(this=exp.column("ctid", table=alias, quoted=True), query=exp.Subquery(this=inner))),
    )


def expression(tokens: list[Token]) -> Query:
    """A value or a condition, as a query of one row."""
    return translate([*lex("SELECT"), *tokens])


def condition(tokens: list[Token]) -> Query:
    return translate([*lex("SELECT CASE WHEN"), *tokens, *lex("THEN 1 ELSE 0 END AS c")])


assert set(SYSTEM_TYPE_IDS) == set(STORAGE)
