"""A pipeline out of a SQL Server into a PostgreSQL database or files, and both ends compared value by value."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from . import pgsink, sluice
from .changes import Totals, shown
from .lake import LakeError
from .pg import PgDatabase
from .tds.server import MssqlDatabase


def enable(db: MssqlDatabase, *tables: str, schema: str = "dbo", **more: str) -> None:
    """Change data capture of the database (if it has none yet) and of some tables."""
    if db.name not in db.server.captures:
        db.execute("EXEC sys.sp_cdc_enable_db")
    extra = "".join(f", @{name} = N'{value}'" for name, value in more.items())
    for table in tables:
        quoted = table.replace("'", "''")
        db.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'{schema}', @source_name = N'{quoted}',"
                   f" @role_name = NULL{extra}")


def plain(value: Any) -> Any:
    """One form for what both ends give: times as datetime, bits as numbers, decimals without trailing zeros."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return value.normalize()
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == "-" and value[13:14] == ":":
        whole, _, part = value.partition(".")
        try:
            return datetime.datetime.fromisoformat(f"{whole}.{(part + '000000')[:6]}")
        except ValueError:
            return value
    return value


def rows_of(db: MssqlDatabase | PgDatabase, relation: str, columns: Iterable[str], keys: int) -> dict[tuple, list]:
    """Key → rows; columns begin with the key's."""
    names = list(columns)
    if isinstance(db, MssqlDatabase):
        found = db.query("SELECT " + ", ".join(f"[{name.replace(']', ']]')}]" for name in names) + f" FROM {relation}")
    else:
        doubled = [name.replace('"', '""') for name in names]
        found = db.query("SELECT " + ", ".join(f'"{name}"' for name in doubled) + f" FROM {relation}")
    out: dict[tuple, list] = {}
    for row in found:
        made = tuple(plain(value) for value in row)
        out.setdefault(made[:keys], []).append(made)
    return out


def compare(source: MssqlDatabase, target: PgDatabase, relation: str, to: str, columns: Iterable[str],
            keys: int = 1) -> Totals:
    """Raises with what is wrong unless both have the same rows."""
    want, have = rows_of(source, relation, columns, keys), rows_of(target, to, columns, keys)
    out, samples = Totals(rows=sum(map(len, want.values()))), []
    for key in want.keys() | have.keys():
        one, other = want.get(key, []), have.get(key, [])
        if len(other) < len(one):
            out.lost += len(one) - len(other)
            samples.append(f"lost {shown(str(one))}")
        elif len(other) > len(one):
            out.dup += len(other) - len(one)
            samples.append(f"surplus {shown(str(other))}")
        elif sorted(one, key=repr) != sorted(other, key=repr):
            out.diff += 1
            samples.append(f"diff source {shown(str(one))} target {shown(str(other))}")
    if not out.ok:
        raise LakeError(f"{relation}: {out} of {out.rows}\n" + "\n".join(samples[:12]))
    return out


class MsReplica(pgsink.Replica):
    """A SQL Server's tables, followed into a PostgreSQL database: sink `copy`."""

    plugin = "sqlserver"

    def __init__(self, engine: sluice.Engine, db: MssqlDatabase, target: PgDatabase,
                 source: Mapping[str, Any] | None = None, tables: Iterable[str] = ("dbo.*",), **more: Any):
        made = {"encrypt": "off", "poll_interval": "50ms", **(source or {})}
        super().__init__(engine, db, target, source=made, tables=tables, **more)  # type: ignore[arg-type]

    def compare_to(self, table: str, columns: Iterable[str], keys: int = 1, to: str = "") -> Totals:
        return compare(self.db, self.target, f"dbo.[{table.replace(']', ']]')}]",  # type: ignore[arg-type]
                       to or 'dbo."' + table.replace('"', '""') + '"', columns, keys)
