"""Errors as SQL Server numbers and words them, out of what PostgreSQL says."""

from __future__ import annotations

import re
from dataclasses import dataclass

TERMINATED = "The statement has been terminated."


class ServerError(Exception):
    """ends: what ends with it besides the statement: "" (the batch goes on), "batch", "transaction" (and the batch),
    "connection"."""

    def __init__(self, text: str, number: int = 50000, severity: int = 16, state: int = 1, ends: str = "batch"):
        super().__init__(text)
        self.number = number
        self.severity = severity
        self.state = state
        self.ends = ends


class NotTaken(ServerError):
    """A statement that the stand-in does not know, or that asks for what is not there."""

    def __init__(self, text: str, number: int = 102, severity: int = 0, state: int = 1):
        super().__init__(text, number, severity or (15 if number in (102, 105, 137, 156) else 16), state)


class Attention(Exception):
    """The client has asked to stop."""


@dataclass
class Report:
    """What PostgreSQL said: fields of an ErrorResponse, and what was asked."""

    state: str
    text: str
    detail: str = ""
    schema: str = ""
    table: str = ""
    column: str = ""
    constraint: str = ""
    database: str = ""
    verb: str = ""
    spid: int = 51


def _full(report: Report) -> str:
    return f"{report.schema}.{report.table}" if report.schema and report.schema != "pg_temp" else report.table


def _visible(name: str) -> str:
    return re.sub(r" @\d+$", "", name)


def _unique(report: Report) -> ServerError:
    key = re.search(r"\)=\((.*)\) (?:already exists|is duplicated)", report.detail)
    value = f" The duplicate key value is ({key[1]})." if key else ""
    name = _visible(report.constraint)
    if report.verb == "CREATE":
        return ServerError(
            "The CREATE UNIQUE INDEX statement terminated because a duplicate key was found for the object"
            f" name '{_full(report)}' and the index name '{name}'.{value}",
            1505,
            16,
            1,
            "",
        )
    if report.constraint != name:  # an index that is no constraint
        return ServerError(
            f"Cannot insert duplicate key row in object '{_full(report)}' with unique index '{name}'.{value}",
            2601,
            14,
            1,
            "",
        )
    kind = (
        "UNIQUE KEY"
        if report.constraint.endswith("_key") or report.constraint.upper().startswith("UQ")
        else ("PRIMARY KEY")
    )
    return ServerError(
        f"Violation of {kind} constraint '{name}'. Cannot insert duplicate key in object '{_full(report)}'.{value}",
        2627,
        14,
        1,
        "",
    )


def _conflict(report: Report) -> ServerError:
    verb = report.verb or "INSERT"
    kind = "CHECK" if report.state == "23514" else "FOREIGN KEY"
    table = report.table
    other = re.search(r'(?:table|from table) "([^"]+)"', report.detail)
    if report.state == "23503" and verb in ("DELETE", "UPDATE") and "still referenced" in report.detail:
        kind = "REFERENCE"
    if other and kind != "CHECK":
        table = other[1]
    column = re.search(r"Key \((\w+)\)", report.detail)
    where = f", column '{column[1]}'" if column and kind != "CHECK" else ""
    return ServerError(
        f'The {verb} statement conflicted with the {kind} constraint "{_visible(report.constraint)}". The'
        f' conflict occurred in database "{report.database}", table "{report.schema or "dbo"}.{table}"'
        f"{where}.",
        547,
        16,
        0,
        "",
    )


def _null(report: Report) -> ServerError:
    if report.verb == "ALTER" and not report.detail:
        return ServerError(
            "ALTER TABLE only allows columns to be added that can contain nulls, or have a DEFAULT"
            " definition specified, or the column being added is an identity or timestamp column, or"
            " alternatively if none of the previous conditions are satisfied the table must be empty to"
            f" allow addition of this column. Column '{report.column}' cannot be added to non-empty table"
            f" '{report.table}' because it does not satisfy these conditions.",
            4901,
            16,
            1,
        )
    verb = report.verb or "INSERT"
    return ServerError(
        f"Cannot insert the value NULL into column '{report.column}', table"
        f" '{report.database}.{report.schema or 'dbo'}.{report.table}'; column does not allow nulls."
        f" {verb} fails.",
        515,
        16,
        2,
        "",
    )


def _named(report: Report) -> str:
    match = re.search(r'"([^"]*(?:""[^"]*)*)"', report.text)
    return match[1] if match else report.text


def _column_missing(report: Report) -> ServerError:
    match = re.search(r'column "?([^"]+?)"? (?:of relation "?([^"]+)"? )?does not exist', report.text)
    name = match[1] if match else _named(report)
    if report.verb == "ALTER" and match and match[2]:
        return ServerError(
            f"ALTER TABLE DROP COLUMN failed because column '{name}' does not exist in table '{match[2]}'.",
            4924,
            16,
            1,
        )
    if "." in name:
        return ServerError(f'The multi-part identifier "{name}" could not be bound.', 4104, 16, 1)
    return ServerError(f"Invalid column name '{name}'.", 207, 16, 1)


def _missing(report: Report) -> ServerError:
    name = re.sub(r"^pg_temp\.", "", _named(report))
    if report.verb == "TRUNCATE":
        return ServerError(
            f'Cannot find the object "{name.rpartition(".")[2]}" because it does not exist or you do not'
            " have permissions.",
            4701,
            16,
            1,
        )
    if report.verb == "ALTER":
        return ServerError(
            f'Cannot find the object "{name}" because it does not exist or you do not have permissions.', 4902, 16, 1
        )
    if report.verb == "DROP":
        return ServerError(
            f"Cannot drop the table '{name}', because it does not exist or you do not have permission.",
            3701,
            11,
            5,
            "",
        )
    if report.verb == "CREATE":
        return ServerError(
            f'Cannot find the object "{name}" because it does not exist or you do not have permissions.', 1088, 16, 12
        )
    return ServerError(f"Invalid object name '{name}'.", 208, 16, 1)


def _overflow(report: Report) -> ServerError:
    if "integer out of range" in report.text or "for type integer" in report.text:
        return ServerError("Arithmetic overflow error converting expression to data type int.", 8115, 16, 2, "")
    if "bigint" in report.text:
        return ServerError("Arithmetic overflow error converting expression to data type bigint.", 8115, 16, 2, "")
    if "smallint" in report.text:
        value = re.search(r'value "(-?\d+)"', report.text)
        return ServerError(
            "Arithmetic overflow error for data type smallint" + (f", value = {value[1]}." if value else "."),
            220,
            16,
            1,
            "",
        )
    return ServerError("Arithmetic overflow error converting numeric to data type numeric.", 8115, 16, 8, "")


def _conversion(report: Report) -> ServerError:
    match = re.search(r'input syntax for type (\w+).*?: "(.*)"', report.text, re.S)
    kinds = {
        "integer": "int",
        "smallint": "smallint",
        "bigint": "bigint",
        "numeric": "numeric",
        "double": "float",
        "uuid": "uniqueidentifier",
        "real": "real",
    }
    if match and match[1] == "uuid":
        return ServerError(
            "Conversion failed when converting from a character string to uniqueidentifier.", 8169, 16, 2
        )
    if match and match[1] in ("numeric", "double", "real"):
        return ServerError(f"Error converting data type varchar to {kinds[match[1]]}.", 8114, 16, 5)
    if match:
        return ServerError(
            f"Conversion failed when converting the varchar value '{match[2]}' to data type"
            f" {kinds.get(match[1], match[1])}.",
            245,
            16,
            1,
        )
    return ServerError(report.text, 245, 16, 1)


def _own(report: Report) -> ServerError:
    """Raised by the functions of catalog.sql: SQLSTATE TDnnn stands for a text that begins with its number."""
    number, severity, state, text = report.text.split("|", 3)
    text = text.replace("%db%", report.database)
    ends = "batch" if int(number) in (241, 245, 208, 3952) else ""
    return ServerError(text, int(number), int(severity), int(state), ends)


def _exists(report: Report) -> ServerError:
    name = _visible(_named(report))
    if "schema" in report.text.split('"')[0]:
        return ServerError(f"There is already an object named '{name}' in the database.", 2714, 16, 6)
    if "column" in report.text.split('"')[0]:
        return ServerError(
            f"Column names in each table must be unique. Column name '{name}' in table '{report.table}' is"
            " specified more than once.",
            2705,
            16,
            4,
        )
    return ServerError(f"There is already an object named '{name}' in the database.", 2714, 16, 6)


def _truncate(report: Report) -> ServerError:
    if report.verb == "TRUNCATE":
        return ServerError(
            f"Cannot truncate table '{report.table or _named(report)}' because it is being referenced by a"
            " FOREIGN KEY constraint.",
            4712,
            16,
            1,
        )
    return ServerError(report.text, 50000, 16, 1)


def _depends(report: Report) -> ServerError:
    return ServerError(
        f"Could not drop object '{_named(report)}' because it is referenced by a FOREIGN KEY constraint.", 3726, 16, 1
    )


def _generated(report: Report) -> ServerError:
    column = _named(report)
    if "can only be updated to DEFAULT" in report.text:
        if "is a generated column" in report.detail:
            return ServerError(
                f'The column "{column}" cannot be modified because it is either a computed column or is the'
                " result of a UNION operator.",
                271,
                16,
                1,
            )
        return ServerError(f"Cannot update identity column '{column}'.", 8102, 16, 1)
    if "is a generated column" in report.detail:
        return ServerError(
            f'The column "{column}" cannot be modified because it is either a computed column or is the'
            " result of a UNION operator.",
            271,
            16,
            1,
        )
    return ServerError(
        f"Cannot insert explicit value for identity column in table '{report.table}' when"
        " IDENTITY_INSERT is set to OFF.",
        544,
        16,
        1,
        "",
    )


def _deadlock(report: Report) -> ServerError:
    return deadlock(report.spid)


def deadlock(spid: int) -> ServerError:
    return ServerError(
        f"Transaction (Process ID {spid}) was deadlocked on lock resources with another process and has been"
        " chosen as the deadlock victim. Rerun the transaction.",
        1205,
        13,
        51,
        "transaction",
    )


def _conflict_snapshot(report: Report) -> ServerError:
    return ServerError(
        "Snapshot isolation transaction aborted due to update conflict. You cannot use snapshot isolation to"
        f" access table '{_full(report) or 'dbo'}' directly or indirectly in database '{report.database}' to"
        " update, delete, or insert the row that has been modified or deleted by another transaction. Retry"
        " the transaction or change the isolation level for the update/delete statement.",
        3960,
        16,
        2,
        "transaction",
    )


def _fixed(text: str, number: int, severity: int, state: int, ends: str = ""):
    return lambda report: ServerError(text or report.text, number, severity, state, ends)


MADE = {
    "23505": _unique,
    "23503": _conflict,
    "23514": _conflict,
    "23502": _null,
    "40P01": _deadlock,
    "40001": _conflict_snapshot,
    "55P03": _fixed("Lock request time out period exceeded.", 1222, 16, 51),
    "22012": _fixed("Divide by zero error encountered.", 8134, 16, 1),
    "22003": _overflow,
    "22P02": _conversion,
    "22001": _fixed("String or binary data would be truncated.", 8152, 16, 2),
    "22007": _fixed("Conversion failed when converting date and/or time from character string.", 241, 16, 1, "batch"),
    "22008": _fixed(
        "The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.", 242, 16, 3
    ),
    "42P01": _missing,
    "42703": _column_missing,
    "42601": _fixed("", 102, 15, 1, "batch"),
    "42883": _fixed("", 195, 15, 10, "batch"),
    "42P07": _exists,
    "42P06": _exists,
    "42710": _exists,
    "42701": _exists,
    "42501": _fixed("", 229, 14, 5, "batch"),
    "53100": _fixed("", 1105, 17, 2, "batch"),
    "0A000": _truncate,
    "2BP01": _depends,
    "428C9": _generated,
    "3F000": lambda report: ServerError(
        f'The specified schema name "{_named(report)}" either does not exist or you do not have permission to use it.',
        2760,
        16,
        1,
    ),
    "TD000": _own,
}


def translate(report: Report) -> ServerError:
    made = MADE.get(report.state)
    return made(report) if made else ServerError(report.text, 50000, 16, 1)
