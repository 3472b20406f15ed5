"""A pipeline out of a SQL Server into a PostgreSQL database or files, and both ends compared value by value."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import psycopg

from . import pgsink, sluice
from .changes import Totals, shown
from .lake import LakeError
from .pg import PgDatabase
from .pipe import Pipe
from .tds.server import MssqlDatabase


def enable(db: MssqlDatabase, *tables: str, schema: str = "dbo", **more: str) -> None:
    """Change data capture of the database (if it has none yet) and of some tables."""
    if not db.query("SELECT name FROM sys.databases WHERE name = DB_NAME() AND is_cdc_enabled = 1"):
        db.execute("EXEC sys.sp_cdc_enable_db")
    extra = "".join(f", @{name} = N'{value}'" for name, value in more.items())
    for table in tables:
        quoted = table.replace("'", "''")
        db.execute(f"EXEC sys.sp_cdc_enable_table @source_schema = N'{schema}', @source_name = N'{quoted}',"
                   f" @role_name = NULL{extra}")


def track(db: MssqlDatabase, *tables: str, schema: str = "dbo") -> None:
    """Change tracking of the database (if it has none yet) and of some tables."""
    if not db.query("SELECT database_id FROM sys.change_tracking_databases"):
        db.execute(f"ALTER DATABASE [{db.name}] SET CHANGE_TRACKING = ON (CHANGE_RETENTION = 2 DAYS,"
                   " AUTO_CLEANUP = ON)")
    for table in tables:
        db.execute(f"ALTER TABLE {schema}.[{table.replace(']', ']]')}] ENABLE CHANGE_TRACKING")


def version(db: MssqlDatabase) -> int:
    """Of change tracking."""
    return int(db.query("SELECT CHANGE_TRACKING_CURRENT_VERSION() AS v")[0][0])


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
    if not isinstance(db, PgDatabase):
        found = db.query("SELECT " + ", ".join(f"[{name.replace(']', ']]')}]" for name in names) + f" FROM {relation}")
    else:
        doubled = [name.replace('"', '""') for name in names]
        found = db.query("SELECT " + ", ".join(f'"{name}"' for name in doubled) + f" FROM {relation}")
    out: dict[tuple, list] = {}
    for row in found:
        made = tuple(plain(value) for value in row)
        out.setdefault(made[:keys], []).append(made)
    return out


def differences(table: str, want: Mapping[Any, list], have: Mapping[Any, list]) -> Totals:
    """Of rows by their key; raises with what is wrong unless both are the same."""
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
        raise LakeError(f"{table}: {out} of {out.rows}\n" + "\n".join(samples[:12]))
    return out


def compare(source: MssqlDatabase, target: PgDatabase, relation: str, to: str, columns: Iterable[str],
            keys: int = 1) -> Totals:
    """Raises with what is wrong unless both have the same rows."""
    return differences(relation, rows_of(source, relation, columns, keys), rows_of(target, to, columns, keys))


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


def ms_sink(target: MssqlDatabase, write: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None,
            **config: Any) -> dict[str, Any]:
    """A sink `sqlserver`; write: its `write:`, more: other keys beside `config`."""
    made = {"plugin": "sqlserver", "config": target.config(**{"encrypt": "off", **config}), **(more or {})}
    if write:
        made["write"] = dict(write)
    return made


class ToMs(Pipe):
    """A PostgreSQL or SQL Server database, followed into a SQL Server: sink `copy`."""

    def __init__(self, engine: sluice.Engine, db: Any, target: MssqlDatabase, *, write: Mapping[str, Any] | None = None,
                 sink: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None,
                 beside: Mapping[str, Any] | None = None, **top: Any):
        self.target = target
        if not isinstance(db, PgDatabase):
            self.plugin = "sqlserver"
            top = {"tables": ["dbo.*"], **top, "source": {"encrypt": "off", "poll_interval": "50ms",
                                                          **(top.get("source") or {})}}
        sinks = {"copy": ms_sink(target, write, more, **(sink or {})), **(beside or {})}
        super().__init__(engine, db, sinks, **top)

    def epochs(self) -> int:
        """Commits of changes so far."""
        try:
            rows = self.target.behind("SELECT epoch FROM sluice.lanes WHERE pipeline = %s AND sink = 'copy' AND run IS"
                                      " NULL", [self.name])
        except psycopg.errors.UndefinedTable:
            return 0
        return int(rows[0][0] or 0) if rows else 0

    def wait_epochs(self, count: int, run: sluice.Running | None = None, timeout: float = 60) -> None:
        self.wait_for(lambda: self.epochs() >= count, f"{count} commits", run, timeout)

    def complete(self, node: str | None = None) -> set[str]:
        """Streams whose load is whole in `copy`, or in another sink."""
        if node not in (None, "copy"):
            return super().complete(node)
        try:
            return {name for (name,) in self.target.behind(
                "SELECT stream FROM sluice.streams WHERE pipeline = %s AND status = 'complete'", [self.name])}
        except psycopg.errors.UndefinedTable:
            return set()

    # -- the source is a PostgreSQL

    def compare_pg(self, relation: str, to: str = "") -> Totals:
        return compare_pg(self.db, self.target, relation, to)

    def compare_tables(self, relations: Iterable[str]) -> Totals:
        return Totals(rows=sum(self.compare_pg(relation).rows for relation in relations))


def compare_pg(db: PgDatabase, target: MssqlDatabase, relation: str, to: str = "") -> Totals:
    """Each row of a table of a PostgreSQL (schema.table, quoted where it must be) with the target's."""
    # A numeric without digits is a text at the target.
    kinds = db.query("SELECT attname, CASE WHEN atttypid = 1700 AND atttypmod < 0 THEN 'free' ELSE"
                          " format_type(atttypid, NULL) END FROM pg_attribute WHERE attrelid ="
                          " %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
                          [relation])
    names = [name for name, _ in kinds]
    keys = [name.strip('"') for name in pgsink.key_of(db, relation)]
    chosen = ", ".join(_quoted(name) if kind in NATIVE else
                       f"CASE WHEN {_quoted(name)} IS NOT NULL THEN format('%s', {_quoted(name)}) END"
                       for name, kind in kinds)

    def made(row: tuple) -> tuple:
        return tuple(native(value) for value in row)

    want = Counter(made(row) for row in
                   db.query(f"SELECT {chosen} FROM {relation}"))
    have = Counter(made(row) for row in
                   target.behind(f"SELECT {', '.join(map(_quoted, names))} FROM {to or relation}"))
    out = Totals(rows=sum(want.values()))
    at = [names.index(key) for key in keys]
    missing, more = want - have, have - want
    lacking, surplus = ({tuple(row[i] for i in at) for row in rows} for rows in (missing, more))
    out.diff = len(lacking & surplus) if at else 0
    out.lost = sum(missing.values()) - out.diff
    out.dup = sum(more.values()) - out.diff
    if not out.ok:
        other = {tuple(row[i] for i in at): row for row in more}
        wrong = [f"{names[i]}: {shown(str(one[i]))} / {shown(str(two[i]))}" for one in list(missing)[:20]
                 if (two := other.get(tuple(one[i] for i in at))) for i in range(len(names)) if one[i] != two[i]]
        raise LakeError(f"{relation}: {out} of {out.rows}\n" + "\n".join(wrong[:12]) +
                        f"\nsource {shown(str(list(missing)[:3]))}\ntarget {shown(str(list(more)[:3]))}")
    return out


NATIVE = ("boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric", "text", "character"
    " varying",
          "bytea", "uuid", "date", "time without time zone", "timestamp without time zone", "timestamp with time zone")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def native(value: Any) -> Any:
    """A value of PostgreSQL, or of the stand-in's tables, in one form."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f +00:00")
    if isinstance(value, datetime.datetime):
        return f"{value.year:04d}" + value.strftime("-%m-%d %H:%M:%S.%f")
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M:%S.%f")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, bool):
        return int(value)
    return value
