"""Statements of one verb: what each does to a session."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import ddl, procedures, results, tracking, tsql
from .batch import Plain, near
from .ddl import ColumnMade, Reader, Table
from .errors import NotTaken, ServerError
from .lexer import Token
from .tsqltypes import TsqlType

if TYPE_CHECKING:
    from .engine import Engine, Reply

Run = Callable[["Engine", "Reply"], None]
IMPLICIT = {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "CREATE", "ALTER", "DROP", "TRUNCATE", "WITH"}


def compile(node: Plain) -> Run:
    """Reads the statement; nothing of it is done yet."""
    verb = node.verb
    maker = MAKERS.get(verb)
    if maker is None:
        raise NotTaken(f"The stand-in does not take: {node.text[:120]}")
    return maker(node.tokens)


# ---- queries


def query(tokens: list[Token]) -> Run:
    second = tokens[1].upper if len(tokens) > 1 else ""
    if tokens[0].upper == "INSERT" and second == "BULK":
        return insert_bulk(tokens)
    if tokens[0].upper == "UPDATE" and second == "STATISTICS":
        return lambda engine, reply: reply.done(0xC1)
    made = tsql.translate(tokens)
    if made.tree is not None and made.tree.args.get("into") is not None:
        return select_into(made)
    return lambda engine, reply: engine.query(made, reply)


def select_into(made: tsql.Query) -> Run:
    """SELECT … INTO: a table of the columns that the query has."""
    assert made.tree is not None
    tree = made.tree.copy()
    named = tree.args["into"].this
    tree.set("into", None)
    table = Table("" if named.name.startswith("#") else named.text("db") or "dbo", named.name)
    source = tsql.Query(
        tree.sql(dialect="postgres", identify=True), "SELECT", made.variables, types=made.types, tree=tree
    )

    def run(engine: Engine, reply: Reply) -> None:
        sql, values = engine.bind(source)

        def work() -> int:
            shape = engine.ask(f"SELECT * FROM ({sql}) described LIMIT 0", values)
            columns = [
                ColumnMade(c.name, _kept(c.type), c.nullable, (1, 1) if c.identity else None)
                for c in results.columns(engine, shape, source)
            ]
            parts = ", ".join(c.definition() for c in columns)
            engine.ask(
                f"CREATE {'' if table.schema else 'TEMPORARY '}TABLE {table.sql} ({parts})", verb="CREATE TABLE"
            )
            for c in columns:
                engine.ask(ddl.note(table, c))
            names = ", ".join(tsql.quoted(c.name) for c in columns)
            done = engine.ask(f"INSERT INTO {table.sql} ({names}) OVERRIDING SYSTEM VALUE {sql}", values, "INSERT")
            engine.ask(ddl.renorm(table))
            return int(done.command_tuples or 0)

        engine.rowcount = engine.all_of(work)
        reply.done(0xC1, engine.rowcount)

    return run


def _kept(t: TsqlType) -> TsqlType:
    return TsqlType("binary", 8) if t.name in ("rowversion", "timestamp") else t


def insert_bulk(tokens: list[Token]) -> Run:
    reader = Reader(tokens[2:])
    table = reader.table()
    columns = [part[0].value for part in ddl.parts_of(reader.group())]
    options = {token.upper for token in reader.group()} if reader.taken("WITH") else set()

    def run(engine: Engine, reply: Reply) -> None:
        if not engine.values("SELECT 1 FROM tds.columns WHERE relid = to_regclass($1)", [table.sql]):
            raise ServerError(f"Invalid object name '{table.plain}'.", 208)
        engine.allow(table, "INSERT")
        engine.bulk = (table, columns, options)
        reply.done(0xFD)

    return run


# ---- definitions


def create(tokens: list[Token]) -> Run:
    reader = Reader(tokens[1:])
    if reader.taken("TABLE"):
        return defined(ddl.create_table(reader), 0xC6, "CREATE TABLE")
    if reader.taken("UNIQUE"):
        return defined(ddl.create_index(reader, True), 0xC8, "CREATE")
    if reader.peek() in ("INDEX", "CLUSTERED", "NONCLUSTERED"):
        return defined(ddl.create_index(reader, False), 0xC8, "CREATE")
    if reader.taken("SCHEMA"):
        name = reader.name()
        if reader.taken("AUTHORIZATION"):
            reader.name()
        if not reader.ended:
            raise reader.wrong()
        return defined([f"CREATE SCHEMA {tsql.quoted(name)}"], 0xFD, "CREATE SCHEMA")
    if reader.taken("DATABASE"):
        return of_server(reader.name(), lambda server, name: server.create_database(name))
    if reader.taken("VIEW") or reader.taken("OR", "ALTER", "VIEW"):
        return create_view(reader, tokens[1].upper == "OR")
    if reader.taken("TYPE"):
        return defined(ddl.create_type(reader), 0xC8, "CREATE")
    raise NotTaken(f"The stand-in does not take CREATE {reader.peek()}.")


def of_server(name: str, work: Callable) -> Run:
    """What makes or drops a database."""

    def run(engine: Engine, reply: Reply) -> None:
        work(engine.server, name)
        reply.done(0xFD)

    return run


def create_view(reader: Reader, replaces: bool) -> Run:
    table = reader.table()
    reader.need("AS")
    made = tsql.translate([token for token in reader.tokens[reader.at :] if token.text != ";"])
    if made.variables:
        raise NotTaken("Variables are not allowed in the CREATE VIEW statement.", 128)

    def run(engine: Engine, reply: Reply) -> None:
        def work() -> None:
            if replaces:
                engine.ask(f"DROP VIEW IF EXISTS {table.sql}")
            shape = engine.ask(f"SELECT * FROM ({made.sql}) described LIMIT 0")
            columns = results.columns(engine, shape, made)
            engine.ask(f"CREATE VIEW {table.sql} AS {made.sql}", verb="CREATE TABLE")
            for c in columns:
                engine.ask(ddl.note(table, ColumnMade(c.name, c.type, c.nullable)))

        engine.all_of(work)
        reply.done(0xFD)

    return run


def defined(statements: list[str], command: int, verb: str) -> Run:
    def run(engine: Engine, reply: Reply) -> None:
        def work() -> None:
            for sql in statements:
                engine.ask(sql, verb=verb)

        engine.all_of(work)
        reply.done(command)

    return run


def alter(tokens: list[Token]) -> Run:
    reader = Reader(tokens[1:])
    if reader.taken("TABLE"):
        begun, named = reader.at, reader.table()
        enables = reader.taken("ENABLE", "CHANGE_TRACKING")
        if enables or reader.taken("DISABLE", "CHANGE_TRACKING"):
            return defined(tracking.table(reader, named, enables), 0xD8, "ALTER")
        reader.at = begun
        return defined(ddl.alter_table(reader), 0xD8, "ALTER")
    if reader.taken("DATABASE"):
        reader.name()
        reader.need("SET")
        if reader.taken("CHANGE_TRACKING"):
            return defined(tracking.database(reader), 0xFD, "ALTER")
        if reader.taken("SINGLE_USER") or reader.taken("MULTI_USER"):
            return of_server("", lambda _server, _name: None)
        option, value = reader.name().upper(), reader.name().upper()
        named = {
            "ALLOW_SNAPSHOT_ISOLATION": "snapshot_isolation_state",
            "READ_COMMITTED_SNAPSHOT": "is_read_committed_snapshot_on",
        }.get(option)
        if named is None or value not in ("ON", "OFF"):
            raise NotTaken(f"The stand-in does not take ALTER DATABASE SET {option}.")
        return defined(
            [f"UPDATE tds.settings SET value = '{int(value == 'ON')}' WHERE name = '{named}'"], 0xFD, "ALTER"
        )
    raise NotTaken(f"The stand-in does not take ALTER {reader.peek()}.")


def drop(tokens: list[Token]) -> Run:
    reader = Reader(tokens[1:])
    if reader.taken("DATABASE"):
        return of_server(reader.name(), lambda server, name: server.drop_database(name))
    return defined(ddl.drop(reader), 0xC7, "DROP")


def truncate(tokens: list[Token]) -> Run:
    reader = Reader(tokens[1:])
    reader.need("TABLE")
    table = reader.table()
    if not reader.ended:
        raise reader.wrong()

    def run(engine: Engine, reply: Reply) -> None:
        engine.allow(table, "ALTER")
        if engine.server.captured(engine.database, table.sql):
            raise ServerError(
                f"Cannot truncate table '{table.plain}' because it is published for replication or enabled for"
                " Change Data Capture.",
                4711,
                16,
                1,
            )
        engine.subject = table.name
        engine.guarded(lambda: engine.ask(f"TRUNCATE TABLE {table.sql} RESTART IDENTITY", verb="TRUNCATE"))
        reply.done(0xFD)

    return run


# ---- settings

# Options that say nothing to the stand-in; others are errors.
IGNORED = {
    "ANSI_NULLS",
    "ANSI_NULL_DFLT_ON",
    "ANSI_NULL_DFLT_OFF",
    "ANSI_PADDING",
    "ANSI_WARNINGS",
    "ANSI_DEFAULTS",
    "ARITHABORT",
    "ARITHIGNORE",
    "CONCAT_NULL_YIELDS_NULL",
    "CURSOR_CLOSE_ON_COMMIT",
    "DATEFIRST",
    "DATEFORMAT",
    "DEADLOCK_PRIORITY",
    "LANGUAGE",
    "NUMERIC_ROUNDABORT",
    "QUOTED_IDENTIFIER",
    "ROWCOUNT",
    "TEXTSIZE",
    "CONTEXT_INFO",
    "STATISTICS",
    "NOEXEC",
    "SHOWPLAN_ALL",
    "SHOWPLAN_TEXT",
    "NO_BROWSETABLE",
    "QUERY_GOVERNOR_COST_LIMIT",
}
SWITCHES = {
    "XACT_ABORT": "xact_abort",
    "NOCOUNT": "nocount",
    "FMTONLY": "fmtonly",
    "IMPLICIT_TRANSACTIONS": "implicit",
}
LEVELS = ("READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SNAPSHOT", "SERIALIZABLE")


def set_(tokens: list[Token]) -> Run:
    if len(tokens) < 3:
        raise near(tokens[-1])
    first = tokens[1]
    if first.kind == "variable":
        name, value = first.text.lower(), tokens[3:]
        if tokens[2].text in ("+=", "-=", "*=", "/="):
            value = [first, Token("sign", tokens[2].text[0], 0, 0), *value]
        elif tokens[2].text != "=":
            raise near(tokens[2])
        made = tsql.expression(value)

        def assign(engine: Engine, reply: Reply) -> None:
            rows = engine.rows(made)
            engine.store(name, rows[0][0])

        return assign
    words = [token.upper or token.text for token in tokens[1:]]
    if words[0] == "TRANSACTION" and words[1:3] == ["ISOLATION", "LEVEL"]:
        level = " ".join(words[3:])
        if level not in LEVELS:
            raise near(tokens[-1])
        return setting(lambda engine: setattr(engine, "isolation", level))
    if words[0] == "IDENTITY_INSERT":
        return identity_insert(Reader(tokens[2:]))
    if words[0] == "LOCK_TIMEOUT":
        number = int("".join(words[1:]))
        return setting(lambda engine: lock_timeout(engine, number))
    names = [word for word in "".join(words[:-1]).split(",")]
    if words[-1] in ("ON", "OFF") and all(name in SWITCHES or name in IGNORED for name in names):
        return setting(
            lambda engine: engine.options.update(
                {SWITCHES[name]: words[-1] == "ON" for name in names if name in SWITCHES}
            )
        )
    if words[0] in IGNORED:
        return setting(lambda engine: None)
    raise NotTaken(f"'{words[0]}' is not a recognized SET option.", 195, 15)


def setting(change: Callable[[Engine], None]) -> Run:
    def run(engine: Engine, reply: Reply) -> None:
        describing = engine.options["fmtonly"]
        change(engine)
        if not describing:  # nothing runs under FMTONLY, and freebcp wants the SELECT's DONE to be the last one
            reply.done(0xF9)

    return run


def lock_timeout(engine: Engine, number: int) -> None:
    engine.lock_timeout = number
    engine.guarded(lambda: engine.ask(f"SET lock_timeout = {engine.pg_lock_timeout}"))


def identity_insert(reader: Reader) -> Run:
    table = reader.table()
    on = reader.taken("ON")
    if not on:
        reader.need("OFF")

    def run(engine: Engine, reply: Reply) -> None:
        kept = engine.values(
            "SELECT name, is_identity FROM tds.columns WHERE relid = to_regclass($1) ORDER BY is_identity DESC",
            [table.sql],
        )
        if not kept:
            raise ServerError(
                f'Cannot find the object "{table.plain}" because it does not exist or you do not have permissions.',
                1088,
                16,
                11,
            )
        if kept[0][1] != "t":
            raise ServerError(
                f"Table '{table.plain}' does not have the identity property. Cannot perform SET operation.", 8106
            )
        held = engine.identity_insert
        if on and held is not None and held != table:
            raise ServerError(
                f"IDENTITY_INSERT is already ON for table '{engine.database}.{held.plain}'. Cannot perform SET"
                f" operation for table '{table.plain}'.",
                8107,
                16,
                1,
            )
        if not on and held == table:  # the next value goes on behind what was given
            engine.guarded(
                lambda: engine.ask(
                    f"SELECT setval(pg_get_serial_sequence($1, $2), greatest(max({tsql.quoted(kept[0][0] or '')}),"
                    f" coalesce(pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass), 0))) FROM {table.sql}"
                    f" HAVING max({tsql.quoted(kept[0][0] or '')}) > 0",
                    [table.sql, kept[0][0]],
                )
            )
        if on or held == table:
            engine.identity_insert, engine.identity_column = (table, kept[0][0] or "") if on else (None, "")
        reply.done(0xF9)

    return run


# ---- transactions


def transaction(tokens: list[Token]) -> Run:
    verb = tokens[0].upper
    rest = [token for token in tokens[1:] if token.upper not in ("TRAN", "TRANSACTION", "WORK")]
    if verb == "BEGIN":

        def begin(engine: Engine, reply: Reply) -> None:
            engine.begin(reply)
            reply.done(0xD4)

        return begin
    name = rest[0].value if rest and rest[0].text != "WITH" else ""
    if verb == "SAVE":
        return lambda engine, reply: save(engine, reply, name)

    def end(engine: Engine, reply: Reply) -> None:
        if verb == "ROLLBACK" and name and name in engine.savepoints:
            engine.rollback_to(name)
        else:
            engine.end(verb.lower(), reply)
        reply.done(0xD5 if verb == "COMMIT" else 0xD2)

    return end


def save(engine: Engine, reply: Reply, name: str) -> None:
    engine.save(name)
    reply.done(0xFD)


# ---- the rest


def throw(tokens: list[Token]) -> Run:
    if len(tokens) == 1:

        def again(engine: Engine, reply: Reply) -> None:
            if not engine.caught:
                raise NotTaken("To rethrow an error, a THROW statement must be used inside a CATCH block.", 10704)
            error = engine.caught[-1]
            raise ServerError(str(error), error.number, error.severity, error.state, "batch")

        return again
    parts = ddl.parts_of(tokens[1:])
    if len(parts) != 3:
        raise near(tokens[-1])

    def run(engine: Engine, reply: Reply) -> None:
        number, text, state = (engine.value(part) for part in parts)
        if int(number or 0) < 50000:
            raise ServerError(
                f"Error number {number} in the THROW statement is outside the valid range. Specify an error number in"
                " the valid range of 50000 to 2147483647.",
                35100,
                16,
                10,
            )
        raise ServerError(text or "", int(number or 0), 16, int(state or 0), "batch")

    return run


def raiserror(tokens: list[Token]) -> Run:
    reader = Reader(tokens[1:])
    parts = ddl.parts_of(reader.group())

    def run(engine: Engine, reply: Reply) -> None:
        text, severity, state = (engine.value(part) for part in parts[:3])
        for part in parts[3:]:
            put = str(engine.value(part)).replace("\\", r"\\")
            text = re.sub(r"%[sdi]", put, text or "", count=1)
        if int(severity or 0) > 10:
            raise ServerError(text or "", 50000, int(severity or 0), int(state or 0), "")
        reply.message(50000, text or "", int(severity or 0), int(state or 0))
        reply.done(0xFD)

    return run


def print_(tokens: list[Token]) -> Run:
    def run(engine: Engine, reply: Reply) -> None:
        reply.message(0, engine.value(tokens[1:]) or "", 0, 1)
        reply.done(0xF7)

    return run


def return_(tokens: list[Token]) -> Run:
    from .engine import Return

    def run(engine: Engine, reply: Reply) -> None:
        raise Return(tokens[0].upper, int(engine.value(tokens[1:]) or 0) if len(tokens) > 1 else 0)

    return run


def waitfor(tokens: list[Token]) -> Run:
    from .engine import wait

    if len(tokens) != 3 or tokens[1].upper != "DELAY" or tokens[2].kind != "string":
        raise near(tokens[-1])
    hours, minutes, seconds = (tokens[2].value.split(":") + ["0"])[:3]
    length = int(hours) * 3600 + int(minutes) * 60 + float(seconds)

    def run(engine: Engine, reply: Reply) -> None:
        wait(length, engine)
        reply.done(0xFD)

    return run


def use(tokens: list[Token]) -> Run:
    name = tokens[1].value
    return lambda engine, reply: engine.server.use(engine, name, reply)


def permission(tokens: list[Token]) -> Run:
    """GRANT, DENY, REVOKE: what was denied is kept."""
    verb = tokens[0].upper
    words = [token.upper for token in tokens]
    on = words.index("ON") if "ON" in words else -1
    to = next((i for i, word in enumerate(words) if word in ("TO", "FROM")), -1)
    if to < 0:
        raise near(tokens[-1])
    permissions = [
        " ".join(token.text for token in part).upper() for part in ddl.parts_of(tokens[1 : on if on > 0 else to])
    ]
    login = tokens[to + 1].value
    where = tokens[on + 1 : to] if on > 0 else []

    def run(engine: Engine, reply: Reply) -> None:
        schema, relation = "0", "0"
        if where and where[0].upper == "SCHEMA":
            schema = engine.values("SELECT coalesce(sys.schema_id($1), -1)", [where[-1].value])[0][0] or "0"
        elif where:
            named = Reader([token for token in where if token.upper not in ("OBJECT", "::")]).table()
            relation = engine.values("SELECT coalesce(to_regclass($1)::oid, 0)", [named.sql])[0][0] or "0"
            if relation == "0":
                raise ServerError(
                    f"Cannot find the object '{named.name}', because it does not exist or you do not have permission.",
                    15151,
                    16,
                    1,
                )
        for one in permissions:
            if verb == "DENY":
                engine.ask(
                    "INSERT INTO tds.denied VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                    [login, one, schema, relation],
                )
            else:
                engine.ask(
                    "DELETE FROM tds.denied WHERE login = $1 AND permission = $2 AND relid = $3",
                    [login, one, relation],
                )
        reply.done(0xFD)

    return run


def nothing(tokens: list[Token]) -> Run:
    return lambda engine, reply: reply.done(0xFD)


MAKERS: dict[str, Callable[[list[Token]], Run]] = {
    "SELECT": query,
    "INSERT": query,
    "UPDATE": query,
    "DELETE": query,
    "WITH": query,
    "MERGE": query,
    "CREATE": create,
    "ALTER": alter,
    "DROP": drop,
    "TRUNCATE": truncate,
    "SET": set_,
    "BEGIN": transaction,
    "COMMIT": transaction,
    "ROLLBACK": transaction,
    "SAVE": transaction,
    "THROW": throw,
    "RAISERROR": raiserror,
    "PRINT": print_,
    "RETURN": return_,
    "BREAK": return_,
    "CONTINUE": return_,
    "WAITFOR": waitfor,
    "USE": use,
    "GRANT": permission,
    "DENY": permission,
    "REVOKE": permission,
    "CHECKPOINT": nothing,
    "EXEC": procedures.execute,
    "EXECUTE": procedures.execute,
}
