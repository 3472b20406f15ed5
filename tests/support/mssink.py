"""A pipeline out of a PostgreSQL database into a SQL Server (the stand-in), and both ends compared value by value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import mssql, sluice
from .changes import Totals
from .pg import PgDatabase
from .pipe import Pipe
from .tds.server import MssqlDatabase


def named(schema: str, table: str) -> tuple[str, str]:
    """A table's name as PostgreSQL and as SQL Server quotes it."""
    pg = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
    return pg, ".".join("[" + part.replace("]", "]]") + "]" for part in (schema, table))


def compare(source: PgDatabase, target: MssqlDatabase, table: str, columns: Iterable[str], keys: int = 1) -> Totals:
    """Raises with what is wrong unless both have the same rows; keys: so many columns tell a row, 0 = none does."""
    pg, ms = named("public", table)
    return mssql.differences(table, mssql.rows_of(source, pg, columns, keys), mssql.rows_of(target, ms, columns, keys))


class ToMssql(Pipe):
    """PostgreSQL's tables, followed into a SQL Server: sink `copy`."""

    def __init__(self, engine: sluice.Engine, db: PgDatabase, target: MssqlDatabase,
                 write: Mapping[str, Any] | None = None, sink: Mapping[str, Any] | None = None, **top: Any):
        self.target = target
        made: dict[str, Any] = {"plugin": "sqlserver", "config": target.config(**{"encrypt": "off", **(sink or {})})}
        if write:
            made["write"] = dict(write)
        super().__init__(engine, db, {"copy": made}, **top)

    def epochs(self) -> int:
        """Commits of changes so far."""
        try:
            rows = self.target.query("SELECT epoch FROM [sluice].[lanes] WHERE run IS NULL AND pipeline ="
                                     f" N'{self.name}'")
        except Exception as error:  # the table is not there yet
            if "Invalid object name" not in str(error):
                raise
            return 0
        return int(rows[0][0] or 0) if rows else 0

    def complete(self, node: str | None = None) -> set[str]:
        try:
            rows = self.target.query("SELECT stream FROM [sluice].[streams] WHERE status = N'complete' AND pipeline ="
                                     f" N'{self.name}'")
        except Exception as error:
            if "Invalid object name" not in str(error):
                raise
            return set()
        return {name for (name,) in rows}

    def wait_epochs(self, count: int, run: sluice.Running | None = None, timeout: float = 60) -> None:
        self.wait_for(lambda: self.epochs() >= count, f"{count} epochs", run, timeout)

    def compare_to(self, table: str, columns: Iterable[str], keys: int = 1) -> Totals:
        return compare(self.db, self.target, table, columns, keys)
