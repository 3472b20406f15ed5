"""Change tracking of the stand-in: its statements, and CHANGETABLE as a query of the side tables of tracking.sql.

What it imitates (Microsoft's documentation, "About change tracking", "CHANGETABLE"): net changes by primary key behind
a version; I for a key that was inserted since, U for one that was there, D for one that is gone; a new key is D and I;
versions in the order of commits; TRUNCATE forgets what was tracked and moves the minimum. Column masks and contexts are
not kept.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .ddl import Reader, Table
from .errors import NotTaken, ServerError
from .lexer import Token
from .tsql import CHANGES, literal, quoted

if TYPE_CHECKING:
    from .engine import Engine

UNITS = {"MINUTE": 1, "HOUR": 2, "DAY": 3}
_NAMED = re.compile(f'"tds"\\."{CHANGES}([0-9a-f]+)"')


# ---- statements


def database(reader: Reader) -> list[str]:
    """ALTER DATABASE … SET CHANGE_TRACKING: what is behind the word."""
    turn = "NULL"
    if reader.taken("="):
        turn = "true" if reader.taken("ON") else "false"
        if turn == "false":
            reader.need("OFF")
    out = [f"SELECT tds.ct_database({turn})"]
    if reader.peek() == "(":
        for part in _options(reader.group()):
            out += part
    if not reader.ended or (turn == "NULL" and len(out) == 1):
        raise reader.wrong()
    return out


def _options(tokens: list[Token]) -> list[list[str]]:
    from .ddl import parts_of

    out = []
    for part in parts_of(tokens):
        reader = Reader(part)
        if reader.taken("AUTO_CLEANUP", "="):
            on = reader.taken("ON")
            if not on:
                reader.need("OFF")
            out.append([_set("ct_auto_cleanup", int(on))])
        else:
            reader.need("CHANGE_RETENTION", "=")
            number = reader.tokens[reader.at]
            unit = UNITS.get(reader.peek(1).removesuffix("S"), 0)
            if number.kind != "number" or not unit or int(number.text) < 1:
                raise reader.wrong()
            reader.at += 2
            out.append([_set("ct_retention", int(number.text)), _set("ct_units", unit)])
        if not reader.ended:
            raise reader.wrong()
    return out


def _set(name: str, value: int) -> str:
    return f"UPDATE tds.settings SET value = '{value}' WHERE name = '{name}'"


def table(reader: Reader, named: Table, enables: bool) -> list[str]:
    """ALTER TABLE … ENABLE or DISABLE CHANGE_TRACKING: what is behind the words."""
    if enables and reader.taken("WITH"):
        inner = Reader(reader.group())
        inner.need("TRACK_COLUMNS_UPDATED", "=")
        if inner.taken("ON"):
            raise NotTaken("The stand-in does not keep which columns were updated.")
        inner.need("OFF")
    if not reader.ended:
        raise reader.wrong()
    verb = "enable" if enables else "disable"
    return [f"SELECT tds.ct_{verb}({literal(named.sql)}::regclass, {literal(named.name)})"]


# ---- CHANGETABLE


def expand(engine: Engine, sql: str) -> str:
    """The names that tsql.regular() made of CHANGETABLE(CHANGES …) as queries."""
    return _NAMED.sub(lambda match: _changes(engine, *bytes.fromhex(match[1]).decode().split("\0")), sql)


def _changes(engine: Engine, schema: str, name: str, since: str) -> str:
    named = Table(schema, name)
    engine.allow(named, "VIEW CHANGE TRACKING")
    if since.startswith("@"):
        since = engine.variable(since.lower())[1] or "NULL"
    kept = engine.values(
        "SELECT side, tds.ct_list(keys, 's.') FROM tds.ct_tables WHERE relid = to_regclass($1)", [named.sql]
    )
    if not kept:
        if not engine.values("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [named.sql]):
            raise ServerError(f"Invalid object name '{named.plain}'.", 208, 16, 1, "batch")
        raise ServerError(f"Change tracking is not enabled on table '{named.plain}'.", 22105, 16, 1, "batch")
    side, keys = kept[0]
    behind = "" if since.upper() == "NULL" else f" AND c.version > {int(since)}"
    return (
        '(SELECT max(c.version) AS "SYS_CHANGE_VERSION",'
        " max(c.version) FILTER (WHERE s.tds_op = 'I') AS \"SYS_CHANGE_CREATION_VERSION\","
        " CASE WHEN (array_agg(s.tds_op ORDER BY s.tds_order DESC))[1] = 'D' THEN 'D' WHEN bool_or(s.tds_op = 'I')"
        " THEN 'I' ELSE 'U' END AS \"SYS_CHANGE_OPERATION\","
        ' NULL::bytea AS "SYS_CHANGE_COLUMNS", NULL::bytea AS "SYS_CHANGE_CONTEXT",'
        f" {keys} FROM tds.{quoted(side or '')} s JOIN tds.ct_commits c ON c.xid = s.tds_xid"
        " WHERE c.version IS NOT NULL"
        f"{behind} GROUP BY {keys})"
    )
