"""A stand-in for SQL Server: TDS 7.4 over TCP, backed by a private PostgreSQL. See README.md."""

from .server import MssqlDatabase, MssqlServer

__all__ = ["MssqlDatabase", "MssqlServer"]
