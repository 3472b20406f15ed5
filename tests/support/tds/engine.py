"""Runs batches against one PostgreSQL connection as SQL Server would: variables, transactions, what errors end."""

from __future__ import annotations

import re
import select
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
from psycopg import pq

from . import batch, ddl, results, statements, tracking, tsql
from .batch import Block, Declare, If, Node, Plain, Try, While
from .ddl import Table
from .errors import TERMINATED, Attention, NotTaken, Report, ServerError, translate
from .lexer import Token
from .tokens import Column
from .tsqltypes import TsqlType

if TYPE_CHECKING:
    from .server import MssqlServer

INT = TsqlType("int")
SYSTEM = {
    "@@rowcount": INT,
    "@@trancount": INT,
    "@@error": INT,
    "@@spid": TsqlType("smallint"),
    "@@version": TsqlType("nvarchar", 300),
    "@@identity": TsqlType("decimal", precision=38),
    "@@scope_identity": TsqlType("decimal", precision=38),
    "@@xact_state": TsqlType("smallint"),
    "@@servername": TsqlType("nvarchar", 128),
    "@@lock_timeout": INT,
    "@@max_precision": TsqlType("tinyint"),
    "@@language": TsqlType("nvarchar", 128),
    "@@options": INT,
    "@@nestlevel": INT,
    "@@datefirst": TsqlType("tinyint"),
    "@@fetch_status": INT,
    "@@microsoftversion": INT,
    "@@error_number": INT,
    "@@error_message": TsqlType("nvarchar", 4000),
    "@@error_severity": INT,
    "@@error_state": INT,
}
_QUICK = re.compile(
    r"^(@@rowcount|@@trancount|@@error|XACT_STATE \( \)|@\w+)\s*(<>|!=|>=|<=|=|>|<)\s*(-?\s?\d+)$", re.I
)
_VARIABLE = re.compile("\u00abv(\\d+)\u00bb")
COMPARE: dict[str, Callable[[int, int], bool]] = {
    "<>": lambda a, b: a != b,
    "!=": lambda a, b: a != b,
    "=": lambda a, b: a == b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


class Reply(Protocol):
    """Where results go."""

    def message(self, number: int, text: str, severity: int, state: int) -> None: ...
    def columns(self, columns: list[Column]) -> None: ...
    def rows(self, columns: list[Column], result: pq.abc.PGresult) -> None: ...
    def done(self, command: int, rows: int | None = None, failed: bool = False, token: int = 0xFD) -> None: ...
    def environment(self, kind: int, new: bytes, old: bytes) -> None: ...
    def status(self, value: int) -> None: ...


class Return(Exception):
    """RETURN, BREAK, CONTINUE."""

    def __init__(self, kind: str, status: int = 0):
        super().__init__(kind)
        self.kind = kind
        self.status = status


class Engine:
    """One session's state."""

    def __init__(self, server: MssqlServer, database: str, login: str, number: int = 51):
        self.server = server
        self.database = database
        self.login = login
        self.spid = number
        self.pg: psycopg.Connection = server.connect(database)
        self.variables: dict[str, tuple[TsqlType, str | None]] = {}
        self.trancount = 0
        self.descriptor = 0
        self.doomed = False
        self.rowcount = 0
        self.error = 0
        self.identity: str | None = None
        self.caught: list[ServerError] = []
        self.options = {"xact_abort": False, "nocount": False, "fmtonly": False, "implicit": False}
        self.isolation = "READ COMMITTED"
        self.lock_timeout = -1
        self.identity_insert: Table | None = None
        self.identity_column = ""
        self.bulk: Any = None
        self.savepoints: list[str] = []
        self.client: Callable[[], bool] | None = None  # has the client asked to stop?
        self.client_socket: Any = None
        self.tries = 0
        self.subject = ""  # the table that is changed
        self.ask("SELECT set_config('tds.database', $1, false), set_config('tds.login', $2, false)", [database, login])
        self.lost = False  # the connection is to end with what is told now
        self.prepared: dict[int, tuple[str, list[tuple[str, TsqlType, bool]]]] = {}
        self.inner: dict[str, tuple[TsqlType, str | None]] = {}  # variables of the inner batch that ended last

    def reset(self, reply: Reply) -> None:
        """As a pool does between two users of a connection."""
        if self.trancount:
            self.end("rollback", reply)
        self.options = dict.fromkeys(self.options, False)
        self.isolation, self.lock_timeout, self.identity_insert = "READ COMMITTED", -1, None
        self.ask("DISCARD TEMP")
        self.ask("SELECT pg_advisory_unlock_all()")
        self.restore()

    def move(self, database: str) -> None:
        """To another database; temporary tables and locks do not come along."""
        self.pg.close()
        self.database = database
        self.pg = self.server.connect(database)
        self.ask(
            "SELECT set_config('tds.database', $1, false), set_config('tds.login', $2, false)", [database, self.login]
        )

    def close(self) -> None:
        self.pg.close()

    # -- PostgreSQL

    def ask(self, sql: str, values: list[str | None] | None = None, verb: str = "") -> pq.abc.PGresult:
        """The last result; an error is one of SQL Server's."""
        conn = self.pg.pgconn
        if values is None:
            conn.send_query(sql.encode())
        else:
            conn.send_query_params(sql.encode(), [None if v is None else v.encode() for v in values])
        last = self.wait()
        assert last is not None
        if last.status == pq.ExecStatus.FATAL_ERROR:
            raise self.failure(last, verb)
        return last

    def wait(self) -> pq.abc.PGresult | None:
        """While the client is listened to: attention cancels."""
        conn = self.pg.pgconn
        last, stopped = None, False
        while conn.flush():
            select.select([conn.socket], [conn.socket], [])
            conn.consume_input()
        while True:
            while not conn.is_busy():
                result = conn.get_result()
                if result is None:
                    if stopped:
                        raise Attention
                    return last
                if last is None or last.status != pq.ExecStatus.FATAL_ERROR:
                    last = result
                if result.status == pq.ExecStatus.COPY_IN:
                    return last
            watched = [conn.socket]
            if self.client is not None and not stopped:
                watched.append(self.client_socket)
            ready = select.select(watched, [], [], 60)[0]
            if conn.socket in ready:
                conn.consume_input()
            elif ready and self.client is not None:
                try:
                    stopped = self.client()
                except Exception:
                    conn.get_cancel().cancel()
                    raise
                if stopped:
                    conn.get_cancel().cancel()

    def failure(self, result: pq.abc.PGresult, verb: str) -> ServerError:
        def text(field: pq.DiagnosticField) -> str:
            return (result.error_field(field) or b"").decode()

        fields = pq.DiagnosticField
        report = Report(
            text(fields.SQLSTATE),
            text(fields.MESSAGE_PRIMARY),
            text(fields.MESSAGE_DETAIL),
            text(fields.SCHEMA_NAME),
            text(fields.TABLE_NAME) or self.subject,
            text(fields.COLUMN_NAME),
            text(fields.CONSTRAINT_NAME),
            self.database,
            verb,
            self.spid,
        )
        if report.schema.startswith("pg_temp"):
            report.schema = "pg_temp"
        return translate(report)

    def values(self, sql: str, values: list[str | None] | None = None) -> list[list[str | None]]:
        result = self.ask(sql, values)
        return [
            [None if (v := result.get_value(i, k)) is None else v.decode() for k in range(result.nfields)]
            for i in range(result.ntuples)
        ]

    # -- batches

    def run(self, text: str, reply: Reply, variables: dict[str, tuple[TsqlType, str | None]] | None = None) -> int:
        """A batch; all errors are told to reply. Returns what RETURN said."""
        kept, self.variables = self.variables, dict(variables or {})
        depth = self.tries
        try:
            nodes = batch.parse(text)
            for node in nodes:
                self.prepare(node, text)
            self.body(nodes, reply)
        except Return as end:
            return end.status
        except ServerError as error:
            self.tell(error, reply)
            reply.done(0xFD, failed=True)
            self.lost = error.ends == "connection"
        finally:
            self.tries = depth
            self.variables = kept
            if self.doomed:
                self.end("rollback", reply)
                reply.message(
                    3998,
                    "Uncommittable transaction is detected at the end of the batch. The transaction is rolled back.",
                    16,
                    1,
                )
                reply.done(0xFD, failed=True)
        return 0

    def prepare(self, node: Node, source: str) -> None:
        """A statement that is not understood keeps the whole batch from running."""
        if isinstance(node, Plain):
            node.text = source[node.tokens[0].start : node.tokens[-1].end]
            node.run = statements.compile(node)
        elif isinstance(node, Block):
            for inner in node.body:
                self.prepare(inner, source)
        elif isinstance(node, If):
            self.prepare(node.then, source)
            if node.otherwise is not None:
                self.prepare(node.otherwise, source)
            node.test = condition(node.condition)
        elif isinstance(node, While):
            self.prepare(node.body, source)
            node.test = condition(node.condition)
        elif isinstance(node, Try):
            for inner in (*node.body, *node.handler):
                self.prepare(inner, source)

    def body(self, nodes: list[Node], reply: Reply) -> None:
        for node in nodes:
            self.node(node, reply)

    def node(self, node: Node, reply: Reply) -> None:
        if isinstance(node, Plain):
            self.statement(node, reply)
        elif isinstance(node, Block):
            self.body(node.body, reply)
        elif isinstance(node, If):
            if node.test(self):
                self.node(node.then, reply)
            elif node.otherwise is not None:
                self.node(node.otherwise, reply)
        elif isinstance(node, While):
            self.loop(node, reply)
        elif isinstance(node, Try):
            self.trial(node, reply)
        elif isinstance(node, Declare):
            for name, kind, value in node.variables:
                t = ddl.Reader(kind).type()
                self.variables[name] = (t, None)
                if value:
                    self.assign(name, value)

    def loop(self, node: While, reply: Reply) -> None:
        while node.test(self):
            try:
                self.node(node.body, reply)
            except Return as end:
                if end.kind == "BREAK":
                    break
                if end.kind != "CONTINUE":
                    raise

    def trial(self, node: Try, reply: Reply) -> None:
        self.tries += 1
        try:
            self.body(node.body, reply)
        except ServerError as error:
            self.tries -= 1
            if error.ends == "connection":
                raise
            self.caught.append(error)
            try:
                self.body(node.handler, reply)
            finally:
                self.caught.pop()
            return
        except BaseException:
            self.tries -= 1
            raise
        self.tries -= 1

    def statement(self, node: Plain, reply: Reply) -> None:
        """An error ends the statement, the batch, or the transaction too."""
        try:
            self.server.before(self, node.text)
            if self.options["implicit"] and not self.trancount and node.verb in statements.IMPLICIT:
                self.begin(reply)
            node.run(self, reply)
            self.error = 0
            self.server.after(self, node.text)
        except ServerError as error:
            self.error = error.number
            self.settle(error, node, reply)
            if self.tries or error.ends:
                raise
            self.tell(error, reply)
            reply.done(0xFD, failed=True)
        except Attention:
            if self.trancount and self.options["xact_abort"]:
                self.end("rollback", reply)
            raise

    def settle(self, error: ServerError, node: Plain, reply: Reply) -> None:
        """What the error does to the transaction."""
        if not self.trancount:
            error.ends = error.ends or ("batch" if self.options["xact_abort"] and node.verb != "RAISERROR" else "")
        elif error.ends == "transaction" and not self.tries:
            self.end("rollback", reply)
        elif error.ends == "transaction" or (
            self.options["xact_abort"]
            and error.number not in (102, 156, 137)
            and node.verb != "RAISERROR"
            and error.number not in (3902, 3903)
        ):
            if self.tries:
                self.doomed = True
            else:
                self.end("rollback", reply)
            error.ends = error.ends or "batch"

    def tell(self, error: ServerError, reply: Reply) -> None:
        reply.message(error.number, str(error), error.severity, error.state)
        if (
            not error.ends
            and error.severity > 10
            and error.number in (515, 544, 547, 2601, 2627, 2628, 8152, 8115, 220, 8134, 242, 1222)
        ):
            reply.message(3621, TERMINATED, 0, 0)

    # -- variables

    def variable(self, name: str) -> tuple[TsqlType, str | None]:
        if name in SYSTEM:
            return SYSTEM[name], self.system(name)
        if name not in self.variables:
            raise NotTaken(f'Must declare the scalar variable "{name}".', 137, 15, 2)
        return self.variables[name]

    def system(self, name: str) -> str | None:
        caught = self.caught[-1] if self.caught else None
        if name.startswith("@@error_"):
            return (
                None
                if caught is None
                else {
                    "number": str(caught.number),
                    "message": str(caught),
                    "severity": str(caught.severity),
                    "state": str(caught.state),
                }[name[8:]]
            )
        values: dict[str, Any] = {
            "rowcount": self.rowcount,
            "trancount": self.trancount,
            "error": self.error,
            "spid": self.spid,
            "version": "Microsoft SQL Server 2022 (stand-in) - 16.0.1000.6",
            "identity": self.identity,
            "scope_identity": self.identity,
            "xact_state": self.xact_state,
            "servername": "STANDIN",
            "lock_timeout": self.lock_timeout,
            "max_precision": 38,
            "language": "us_english",
            "options": 5496,
            "nestlevel": 0,
            "datefirst": 7,
            "fetch_status": 0,
            "microsoftversion": 0x100003E8,
        }
        value = values[name[2:]]
        return None if value is None else str(value)

    @property
    def xact_state(self) -> int:
        return -1 if self.doomed else 1 if self.trancount else 0

    def assign(self, name: str, value: list[Token]) -> None:
        self.store(name, self.value(value))

    def store(self, name: str, value: str | None) -> None:
        kind, _ = self.variable(name)
        query = tsql.cast(tsql.exp.Var(this="$1"), kind).sql(dialect="postgres")
        if value is not None and kind.name in ("binary", "varbinary", "image"):
            query = query.replace("$1", "$1::bytea")
        elif value is not None:
            query = query.replace("$1", "$1::text")
        self.variables[name] = (kind, None if value is None else self.values(f"SELECT {query}", [value])[0][0])

    def value(self, tokens: list[Token]) -> str | None:
        rows = self.rows(tsql.expression(tokens))
        return rows[0][0] if rows else None

    def bind(self, query: tsql.Query) -> tuple[str, list[str | None] | None]:
        """The text with its parameters in PostgreSQL's form."""
        sql = tracking.expand(self, query.sql) if tsql.CHANGES in query.sql else query.sql
        if not query.variables:
            return sql, None
        bound = [self.variable(name) for name in query.variables]
        sql = _VARIABLE.sub(lambda match: f"(${int(match[1]) + 1}::{bound[int(match[1])][0].storage})", sql)
        return sql, [value for _, value in bound]

    def rows(self, query: tsql.Query) -> list[list[str | None]]:
        sql, values = self.bind(query)
        return self.guarded(lambda: self.values(sql, values))

    # -- transactions

    def guarded(self, work: Callable[[], Any]) -> Any:
        """An error ends what was done here and not the transaction, unless that is to go too."""
        if self.doomed:
            raise ServerError(
                "The current transaction cannot be committed and cannot support operations that write to the log"
                " file. Roll back the transaction.",
                3930,
                16,
                1,
            )
        if not self.trancount or (self.options["xact_abort"] and not self.tries):
            return work()
        self.ask("SAVEPOINT tds")
        try:
            out = work()
        except (ServerError, Attention):
            if not self.pg.closed:
                self.ask("ROLLBACK TO tds; RELEASE tds")
            raise
        self.ask("RELEASE tds")
        return out

    def all_of(self, work: Callable[[], Any]) -> Any:
        """Several statements of PostgreSQL's that are one of SQL Server's."""
        if self.trancount:
            return self.guarded(work)
        self.ask("BEGIN")
        try:
            out = work()
        except BaseException:
            if self.pg.pgconn.transaction_status != pq.TransactionStatus.UNKNOWN:
                self.ask("ROLLBACK")
            raise
        self.ask("COMMIT")
        return out

    def begin(self, reply: Reply) -> None:
        if self.trancount == 0:
            if self.isolation == "SNAPSHOT":
                allowed = self.values("SELECT value FROM tds.settings WHERE name = 'snapshot_isolation_state'")[0][0]
                if allowed != "1":
                    raise ServerError(
                        "Snapshot isolation transaction failed accessing database"
                        f" '{self.database}' because snapshot isolation is not allowed in this database. Use ALTER"
                        " DATABASE to allow snapshot isolation.",
                        3952,
                        16,
                        1,
                    )
            level = {"SNAPSHOT": "REPEATABLE READ", "READ UNCOMMITTED": "READ COMMITTED"}.get(
                self.isolation, self.isolation
            )
            self.ask(f"BEGIN ISOLATION LEVEL {level}")
            self.descriptor = self.server.number()
            reply.environment(8, b"\x08" + self.descriptor.to_bytes(8, "little"), b"\0")
        self.trancount += 1

    def end(self, how: str, reply: Reply) -> None:
        """commit or rollback."""
        if self.trancount == 0:
            number = 3902 if how == "commit" else 3903
            raise NotTaken(f"The {how.upper()} TRANSACTION request has no corresponding BEGIN TRANSACTION.", number)
        if how == "commit" and self.doomed:
            raise ServerError(
                "The current transaction cannot be committed and cannot support operations that write to the log"
                " file. Roll back the transaction.",
                3930,
                16,
                1,
            )
        self.trancount = self.trancount - 1 if how == "commit" else 0
        if self.trancount == 0:
            self.server.hold("before " + how)
            self.doomed = False
            self.savepoints = []
            self.ask(how)
            if how == "rollback":
                self.restore()
            reply.environment(9 if how == "commit" else 10, b"\0", b"\x08" + self.descriptor.to_bytes(8, "little"))
            self.server.hold(how)

    def save(self, name: str) -> None:
        if not self.trancount:
            raise ServerError("Cannot issue SAVE TRANSACTION when there is no active transaction.", 628)
        self.ask(f"SAVEPOINT {tsql.quoted('user ' + name)}")
        self.savepoints.append(name)

    def rollback_to(self, name: str) -> None:
        self.ask(f"ROLLBACK TO {tsql.quoted('user ' + name)}")
        self.restore()

    def restore(self) -> None:
        """Settings are the session's: PostgreSQL takes back what was set in a transaction that is rolled back."""
        self.ask(
            "SELECT set_config('lock_timeout', $1, false), set_config('tds.unchecked', '0', false),"
            " set_config('session_replication_role', 'origin', false)",
            [str(self.pg_lock_timeout)],
        )

    @property
    def pg_lock_timeout(self) -> int:
        return {-1: 0, 0: 1}.get(self.lock_timeout, self.lock_timeout)

    # -- queries

    def query(self, query: tsql.Query, reply: Reply) -> None:
        if query.assigned:
            self.assignments(query)
            return
        if self.login != "sa":
            self.permit(query)
        self.subject = query.target[1] if query.target else ""
        sql, values = self.bind(self.target(query))
        if self.options["fmtonly"]:
            if query.verb == "SELECT":
                self.described(query, sql, values, reply)
            else:
                reply.done(query.command)
            return
        result = self.guarded(lambda: self.ask(sql, values, query.verb))
        if query.verb == "SELECT" or query.returning:
            columns = results.columns(self, result, query)
            reply.columns(columns)
            reply.rows(columns, result)
            self.rowcount = result.ntuples
        else:
            self.rowcount = int(result.command_tuples or 0)
            if query.verb == "INSERT":
                self.note_identity(query)
        reply.done(query.command, self.rowcount)

    def assignments(self, query: tsql.Query) -> None:
        rows = self.rows(query)
        self.rowcount = len(rows)
        if rows:
            for name, value in zip(query.assigned, rows[-1], strict=True):
                self.store(name, value)

    def described(self, query: tsql.Query, sql: str, values: list[str | None] | None, reply: Reply) -> None:
        result = self.guarded(lambda: self.ask(f"SELECT * FROM ({sql}) described LIMIT 0", values))
        reply.columns(results.columns(self, result, query))
        reply.done(0xC1, 0)

    def target(self, query: tsql.Query) -> tsql.Query:
        """Of an INSERT: identity columns are left out, or given where the session says so."""
        if query.verb != "INSERT" or query.target is None or not query.sql.startswith("INSERT INTO"):
            return query
        table = Table(*query.target)
        head = f"INSERT INTO {table.sql}"
        names, identified = query.columns, self.identity_insert == table
        if names is None and " DEFAULT VALUES" not in query.sql[: len(head) + 16]:
            kept = self.values(
                "SELECT name FROM tds.columns WHERE relid = to_regclass($1) AND NOT is_computed AND (NOT"
                " is_identity OR $2::boolean) ORDER BY attnum",
                [table.sql, str(identified)],
            )
            if not kept:
                return query
            if identified and self.identity_column in [name for (name,) in kept]:
                raise ServerError(
                    f"An explicit value for the identity column in table '{table.plain}' can only be specified when"
                    " a column list is used and IDENTITY_INSERT is ON.",
                    8101,
                    16,
                    1,
                )
            listed = f" ({', '.join(tsql.quoted(name or '') for (name,) in kept)})"
        elif not identified:
            return query
        elif names is None or self.identity_column not in names:
            raise ServerError(
                f"Explicit value must be specified for identity column in table '{table.name}' either when"
                " IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION"
                " identity column.",
                545,
                16,
                1,
                "",
            )
        else:
            listed = f" ({', '.join(map(tsql.quoted, names))})"
        rest = query.sql[len(head) :].lstrip()
        if names is not None:
            rest = rest[ddl_close(rest) :]
        sql = f"{head}{listed} {'OVERRIDING SYSTEM VALUE ' if identified else ''}{rest}"
        return tsql.Query(
            sql, query.verb, query.variables, query.target, query.columns, [], query.types, query.tree, query.returning
        )

    def note_identity(self, query: tsql.Query) -> None:
        """SCOPE_IDENTITY()."""
        if query.target is None or self.pg.pgconn.transaction_status == pq.TransactionStatus.INERROR:
            return
        table = Table(*query.target)
        found = self.values(
            "SELECT pg_sequence_last_value(d.objid)::text FROM tds.columns c JOIN pg_depend d ON d.refobjid ="
            " c.relid AND d.refobjsubid = c.attnum AND d.deptype = 'i' WHERE c.relid = to_regclass($1) AND"
            " c.is_identity",
            [table.sql],
        )
        if found:
            self.identity = found[0][0]

    def permit(self, query: tsql.Query) -> None:
        """Of logins that were denied something."""
        assert query.tree is not None
        for node in query.tree.find_all(tsql.exp.Table):
            is_target = query.target == (node.text("db") or "", node.name)
            wanted = query.verb if is_target and query.verb != "SELECT" else "SELECT"
            wanted = "VIEW DATABASE STATE" if node.name.startswith("dm_tran_") else wanted
            self.allow(Table(node.text("db"), node.name), wanted)

    def allow(self, table: Table, wanted: str) -> None:
        if not table.schema or self.login == "sa":
            return
        row = self.values(
            "SELECT tds.allowed(c.oid, c.relnamespace::int, $2) FROM pg_class c WHERE c.oid = to_regclass($1)",
            [table.sql, wanted],
        )
        if row and row[0][0] == "f":
            raise ServerError(
                f"The {wanted} permission was denied on the object '{table.name}', database '{self.database}',"
                f" schema '{table.schema}'.",
                229,
                14,
                5,
            )


def ddl_close(text: str) -> int:
    """Behind the bracket that text begins with; names in it are quoted."""
    depth, quoted = 0, False
    for i, ch in enumerate(text):
        quoted = quoted != (ch == '"')
        if not quoted:
            depth += (ch == "(") - (ch == ")")
            if depth == 0:
                return i + 1
    return 0


def condition(tokens: list[Token]) -> Callable[[Engine], bool]:
    """Whether it holds; the usual ones need no query."""
    text = " ".join(token.text for token in tokens).strip()
    quick = _QUICK.match(text.strip("() ")) if not text.startswith("XACT") else _QUICK.match(text)
    if quick is not None:
        name, compare, number = quick[1].lower(), COMPARE[quick[2]], int(quick[3].replace(" ", ""))
        name = "@@xact_state" if name.startswith("xact") else name

        def test(engine: Engine) -> bool:
            kind, value = engine.variable(name)
            if value is None:
                return False
            return (
                compare(int(value), number) if kind.name in ("int", "bigint", "smallint", "tinyint", "bit") else False
            )

        return test
    query = tsql.condition(tokens)

    def asked(engine: Engine) -> bool:
        return engine.rows(query)[0][0] == "1"

    return asked


def wait(seconds: float, engine: Engine) -> None:
    """Until then, or until the client asks to stop."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if engine.client is None:
            time.sleep(left)
        elif select.select([engine.client_socket], [], [], left)[0] and engine.client():
            raise Attention
