"""EXEC, and the procedures that there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import ddl
from .batch import near
from .errors import NotTaken, ServerError
from .lexer import Token, lex
from .tsqltypes import TsqlType

if TYPE_CHECKING:
    from .engine import Engine, Reply


@dataclass
class Argument:
    """variable: where an OUTPUT parameter goes."""

    name: str  # without @, lower case; empty where the place says which
    value: str | None
    type: TsqlType
    variable: str = ""


def missing(name: str) -> NotTaken:
    return NotTaken(f"Could not find stored procedure '{name}'.", 2812, 16, 62)


# ---- EXEC in a batch


def execute(tokens: list[Token]) -> Callable[[Engine, Reply], None]:
    reader = ddl.Reader(tokens[1:])
    if reader.peek() == "(":
        text = reader.group()
        return lambda engine, reply: dynamic(engine, reply, engine.value(text) or "", [])
    target = ""
    if not reader.ended and reader.tokens[reader.at].kind == "variable":
        target = reader.tokens[reader.at].text.lower()
        reader.at += 1
        reader.need("=")
    name = reader.name()
    while reader.peek() == ".":
        reader.at += 1
        name = reader.name() if reader.peek() != "." else ""
    parts = ddl.parts_of(reader.tokens[reader.at :])
    if name.lower() not in PROCEDURES and not name.lower().startswith("sp_cdc_"):
        raise missing(name)

    def run(engine: Engine, reply: Reply) -> None:
        status = call(engine, reply, name.lower(), [_argument(engine, part) for part in parts])
        if target:
            engine.store(target, str(status))
        reply.status(status)
        reply.done(0xE0, token=0xFE)

    return run


def _argument(engine: Engine, part: list[Token]) -> Argument:
    name = ""
    if len(part) > 2 and part[0].kind == "variable" and part[1].text == "=":
        name, part = part[0].text[1:].lower(), part[2:]
    output = len(part) > 1 and part[-1].upper in ("OUTPUT", "OUT")
    part = part[:-1] if output else part
    first = part[0]
    if first.kind == "variable" and len(part) == 1 and not first.text.startswith("@@"):
        kind, value = engine.variable(first.text.lower())
        return Argument(name, value, kind, first.text.lower() if output else "")
    if first.kind == "string" and len(part) == 1:
        kind = TsqlType("nvarchar" if first.text[0] in "Nn" else "varchar", max(len(first.value), 1))
        return Argument(name, first.value, kind)
    if len(part) == 1 and first.upper in ("NULL", "DEFAULT"):
        return Argument(name, None, TsqlType("nvarchar", 1))
    if len(part) == 1 and first.kind in ("word", "name"):  # a bare word is a string here
        return Argument(name, first.value, TsqlType("nvarchar", 128))
    if all(token.kind in ("number", "hex") or token.text == "-" for token in part):
        return Argument(name, engine.value(part), TsqlType("int"))
    raise near(part[-1])


def call(engine: Engine, reply: Reply, name: str, arguments: list[Argument]) -> int:
    if name.startswith("sp_cdc_"):
        given = {a.name: "NULL" if a.value is None else a.value for a in arguments}
        engine.server.procedure(engine.database, name, given)
        return 0
    if name not in PROCEDURES:
        raise missing(name)
    work, names = PROCEDURES[name]
    named: dict[str, Argument] = {}
    for place, argument in enumerate(arguments):
        key = argument.name or (names[place] if place < len(names) else f"parameter{place}")
        named[key] = argument
    return work(engine, reply, named)


# ---- locks of an application


def _key(resource: str) -> str:
    return str(int.from_bytes(hashlib.blake2b(resource.encode(), digest_size=8).digest(), "big", signed=True))


def _text(named: dict[str, Argument], name: str, default: str = "") -> str:
    argument = named.get(name)
    return default if argument is None or argument.value is None else argument.value


def getapplock(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    """0 granted, 1 granted after waiting, -1 timed out, -2 cancelled, -3 deadlock, -999 wrong parameters."""
    mode = _text(named, "lockmode").lower()
    owner = _text(named, "lockowner", "transaction").lower()
    resource = _text(named, "resource")
    timeout = int(_text(named, "locktimeout", str(engine.lock_timeout)))
    if (
        mode not in ("exclusive", "update", "shared", "intentshared", "intentexclusive")
        or not resource
        or (owner == "transaction" and not engine.trancount)
    ):
        return -999
    function = ("_xact" if owner == "transaction" else "") + "_lock" + ("_shared" if "shared" in mode else "")
    tried = engine.guarded(lambda: engine.values(f"SELECT pg_try_advisory{function}($1::bigint)", [_key(resource)]))
    if tried[0][0] == "t":
        return 0
    if timeout == 0:
        return -1
    try:
        engine.all_of(
            lambda: (
                engine.ask(f"SET LOCAL lock_timeout = {max(timeout, 0)}"),
                engine.ask(f"SELECT pg_advisory{function}($1::bigint)", [_key(resource)]),
            )
        )
    except ServerError as error:
        if error.number in (1222, 1205):
            return -1 if error.number == 1222 else -3
        raise
    return 1


def releaseapplock(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    resource = _text(named, "resource")
    held = engine.values(
        "SELECT mode FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND"
        " (classid::bigint << 32 | objid::bigint) = $1::bigint",
        [_key(resource)],
    )
    if not held or _text(named, "lockowner", "transaction").lower() != "session":
        raise ServerError(
            f"Cannot release the application lock (Database Principal: 'public', Resource: '{resource}') because"
            " it is not currently held.",
            1223,
            16,
            1,
            "",
        )
    shared = "_shared" if held[0][0] == "ShareLock" else ""
    engine.ask(f"SELECT pg_advisory_unlock{shared}($1::bigint)", [_key(resource)])
    return 0


# ---- the rest


def rename(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    values = [named[name].value if name in named else None for name in ("objname", "newname", "objtype")]
    engine.all_of(lambda: engine.ask("SELECT tds.rename($1, $2, $3)", values, "ALTER"))
    reply.message(
        15477, "Caution: Changing any part of an object name could break scripts and stored procedures.", 0, 1
    )
    return 0


def dynamic(engine: Engine, reply: Reply, text: str, parameters: list[tuple[str, TsqlType, str | None]]) -> int:
    """A batch inside of the batch, with variables of its own."""
    from . import batch
    from .engine import Return

    kept, options, isolation = engine.variables, dict(engine.options), engine.isolation
    engine.variables = {name: (kind, value) for name, kind, value in parameters}
    try:
        nodes = batch.parse(text)
        for node in nodes:
            engine.prepare(node, text)
        engine.body(nodes, reply)
    except Return as end:
        return end.status
    finally:
        engine.inner, engine.variables = engine.variables, kept
        engine.options, engine.isolation = options, isolation  # SET is the inner batch's own
    return 0


def declared(text: str) -> list[tuple[str, TsqlType, bool]]:
    """Of N'@a int, @b nvarchar(20) OUTPUT'."""
    out = []
    for part in ddl.parts_of(lex(text)):
        rest = part[2:] if part[1].upper == "AS" else part[1:]
        reader = ddl.Reader(rest)
        kind = reader.type()
        output = reader.peek() in ("OUTPUT", "OUT")
        out.append((part[0].text.lower(), kind, output))
    return out


def executesql(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    """sp_executesql: parameters by name or by place, as variables of the batch."""
    given = list(named.values())
    text = given[0].value or ""
    parameters = declared(given[1].value or "") if len(given) > 1 else []
    return prepared(engine, reply, text, parameters, given[2:])


def prepared(
    engine: Engine, reply: Reply, text: str, parameters: list[tuple[str, TsqlType, bool]], given: list[Argument]
) -> int:
    bound: list[tuple[str, TsqlType, str | None]] = []
    by_name = {a.name: a for a in given if a.name}
    places = [a for a in given if not a.name]
    for place, (name, kind, _output) in enumerate(parameters):
        found = by_name.get(name[1:]) or (places[place] if place < len(places) else None)
        if found is None:
            raise ServerError(
                f"The parameterized query '({name} …' expects the parameter '{name}', which was not supplied.",
                8178,
                16,
                1,
            )
        bound.append((name, kind, found.value))
    status = dynamic(engine, reply, text, bound)
    for place, (name, _kind, output) in enumerate(parameters):
        found = by_name.get(name[1:]) or (places[place] if place < len(places) else None)
        if output and found is not None:
            kind, value = engine.inner.get(name, (found.type, None))
            found.value, found.type = value, kind
            if found.variable:
                engine.store(found.variable, value)
    return status


def prepare(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    handle, parameters, text = (list(named.values()) + [Argument("", None, TsqlType("int"))] * 3)[:3]
    number = engine.server.number()
    engine.prepared[number] = (text.value or "", declared(parameters.value or ""))
    handle.value, handle.type = str(number), TsqlType("int")
    return 0


def execute_prepared(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    given = list(named.values())
    number = int(given[0].value or 0)
    if number not in engine.prepared:
        raise ServerError(f"Could not find prepared statement with handle {number}.", 8179, 16, 2)
    text, parameters = engine.prepared[number]
    return prepared(engine, reply, text, parameters, given[1:])


def prepexec(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    given = list(named.values())
    prepare(engine, reply, named)
    text, parameters = engine.prepared[int(given[0].value or 0)]
    return prepared(engine, reply, text, parameters, given[3:])


def unprepare(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    engine.prepared.pop(int(next(iter(named.values())).value or 0), None)
    return 0


def reset(engine: Engine, reply: Reply, named: dict[str, Argument]) -> int:
    engine.reset(reply)
    return 0


PROCEDURES: dict[str, tuple[Callable[..., int], list[str]]] = {
    "sp_getapplock": (getapplock, ["resource", "lockmode", "lockowner", "locktimeout", "dbprincipal"]),
    "sp_releaseapplock": (releaseapplock, ["resource", "lockowner", "dbprincipal"]),
    "sp_rename": (rename, ["objname", "newname", "objtype"]),
    "sp_executesql": (executesql, []),
    "sp_prepare": (prepare, []),
    "sp_execute": (execute_prepared, []),
    "sp_prepexec": (prepexec, []),
    "sp_unprepare": (unprepare, []),
    "sp_reset_connection": (reset, []),
}
