"""T-SQL of the stand-in for SQL Server, asked through python-tds: what clients that write to it rely on."""

from __future__ import annotations

import datetime
import threading
import time

import pytds
import pytest
from support.tds import MssqlServer
from support.tds.server import PASSWORD, USER


@pytest.fixture
def own_mssql():
    server = MssqlServer.create()
    yield server
    server.destroy()


@pytest.fixture
def connect(ms):
    made = []

    def make(**more):
        options = {
            "port": ms.server.port,
            "database": ms.name,
            "user": USER,
            "password": PASSWORD,
            "autocommit": True,
            "timeout": 60,
        }
        made.append(pytds.connect("127.0.0.1", **{**options, **more}))
        return made[-1]

    yield make
    for conn in made:
        conn.close()


@pytest.fixture
def ask(connect):
    """ask(batch) → rows of its last result; an error is raised."""
    conn = connect()

    def run(text: str, on=conn):
        cursor = on.cursor()
        cursor.execute(text)
        rows = cursor.fetchall() if cursor.description else []
        while cursor.nextset():
            if cursor.description:
                rows = cursor.fetchall()
        return rows

    return run


def refused(ask, text: str, **more) -> pytds.Error:
    with pytest.raises(pytds.Error) as failed:
        ask(text, **more)
    return failed.value


def test_errors_by_number_and_text(ms, ask):
    """As Microsoft's list of errors words them."""
    ask("CREATE TABLE p (id int NOT NULL, CONSTRAINT PK_p PRIMARY KEY (id))")
    ask(
        "CREATE TABLE t (id int IDENTITY(1,1) NOT NULL CONSTRAINT PK_t PRIMARY KEY, v nvarchar(3)"
        " NULL, w varchar(3) NULL,"
        " n int NOT NULL CONSTRAINT CK_n CHECK (n < 100), p int NULL CONSTRAINT FK_p REFERENCES p (id), y tinyint NULL,"
        " d decimal(5,2) NULL, m datetime NULL, m2 datetime2(3) NULL, u int NULL, b varbinary(2) NULL, s smallint NULL,"
        " rv rowversion, c AS (n + 1))"
    )
    ask("CREATE UNIQUE INDEX ix_u ON t (u) WHERE u IS NOT NULL")
    ask("INSERT INTO p VALUES (1); INSERT INTO t (n, u) VALUES (1, 7)")
    db = ms.name
    for text, number, words in (
        (
            "INSERT INTO p VALUES (1)",
            2627,
            "Violation of PRIMARY KEY constraint 'PK_p'. Cannot insert duplicate key in object"
            " 'dbo.p'. The duplicate key value is (1).",
        ),
        (
            "INSERT INTO t (n, u) VALUES (1, 7)",
            2601,
            "Cannot insert duplicate key row in object 'dbo.t' with unique index"
            " 'ix_u'. The duplicate key value is (7).",
        ),
        (
            "INSERT INTO t (n) VALUES (NULL)",
            515,
            f"Cannot insert the value NULL into column 'n', table '{db}.dbo.t'; column does"
            " not allow nulls. INSERT fails.",
        ),
        (
            "UPDATE t SET n = NULL",
            515,
            f"Cannot insert the value NULL into column 'n', table '{db}.dbo.t'; column does"
            " not allow nulls. UPDATE fails.",
        ),
        (
            "INSERT INTO t (n) VALUES (100)",
            547,
            f'The INSERT statement conflicted with the CHECK constraint "CK_n". The conflict'
            f' occurred in database "{db}", table "dbo.t".',
        ),
        (
            "INSERT INTO t (n, p) VALUES (1, 9)",
            547,
            'The INSERT statement conflicted with the FOREIGN KEY constraint "FK_p"',
        ),
        (
            "INSERT INTO t (n, v) VALUES (1, N'long')",
            2628,
            f"String or binary data would be truncated in table '{db}.dbo.t', column 'v'. Truncated value: 'lon'.",
        ),
        ("INSERT INTO t (n, v) VALUES (1, N'a😀b')", 2628, "column 'v'"),
        ("INSERT INTO t (n, w) VALUES (1, 'long')", 2628, "column 'w'"),
        ("INSERT INTO t (n, b) VALUES (1, 0x010203)", 2628, "column 'b'"),
        ("INSERT INTO t (n, y) VALUES (1, 256)", 220, "Arithmetic overflow error for data type tinyint, value = 256."),
        ("INSERT INTO t (n, y) VALUES (1, -1)", 220, "tinyint, value = -1."),
        ("INSERT INTO t (n, s) VALUES (1, 40000)", 220, "smallint"),
        ("INSERT INTO t (n, d) VALUES (1, 1000)", 8115, "converting numeric to data type numeric."),
        ("INSERT INTO t (n) VALUES (3000000000)", 8115, "data type int."),
        (
            "INSERT INTO t (n, m) VALUES (1, '1752-12-31')",
            242,
            "The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.",
        ),
        (
            "INSERT INTO t (n, m2) VALUES (1, 'nonsense')",
            241,
            "Conversion failed when converting date and/or time from character string.",
        ),
        ("INSERT INTO t (n, m2) VALUES (1, '2023-02-29')", 241, "Conversion failed"),
        (
            "INSERT INTO t (n) VALUES (N'abc')",
            245,
            "Conversion failed when converting the varchar value 'abc' to data type int.",
        ),
        (
            "INSERT INTO t (id, n) VALUES (5, 5)",
            544,
            "Cannot insert explicit value for identity column in table 't' when IDENTITY_INSERT is set to OFF.",
        ),
        ("UPDATE t SET id = 9", 8102, "Cannot update identity column 'id'."),
        ("UPDATE t SET c = 9", 271, 'The column "c" cannot be modified'),
        ("SELECT * FROM nope", 208, "Invalid object name 'dbo.nope'."),
        ("SELECT nope FROM t", 207, "Invalid column name 'nope'."),
        ("CREATE TABLE t (a int)", 2714, "There is already an object named 't' in the database."),
        ("CREATE TABLE s.t (a int)", 2760, 'The specified schema name "s" either does not exist'),
        (
            "TRUNCATE TABLE p",
            4712,
            "Cannot truncate table 'p' because it is being referenced by a FOREIGN KEY constraint.",
        ),
        ("TRUNCATE TABLE nope", 4701, 'Cannot find the object "nope"'),
        ("DROP TABLE nope", 3701, "Cannot drop the table 'nope'"),
        ("ALTER TABLE nope ADD a int", 4902, 'Cannot find the object "dbo.nope"'),
        ("ALTER TABLE t DROP COLUMN nope", 4924, "'nope' does not exist in table 't'."),
        ("ALTER TABLE t DROP COLUMN p", 5074, "The object 'FK_p' is dependent on column 'p'."),
        ("SELECT 1 / 0", 8134, "Divide by zero error encountered."),
        ("SELECT @x", 137, 'Must declare the scalar variable "@x".'),
        ("SELECT FROM WHERE", 102, "Incorrect syntax"),
        ("SELECT 1 AS a; FROB t", 102, "near 'FROB'"),
        ("EXEC frob", 2812, "'frob'"),
        ("COMMIT TRANSACTION", 3902, "no corresponding BEGIN TRANSACTION"),
        ("ROLLBACK TRANSACTION", 3903, "no corresponding BEGIN TRANSACTION"),
        ("SET FROBNICATION ON", 195, "SET option"),
        ("CREATE PROCEDURE x AS SELECT 1", 102, "does not take"),
        ("THROW 51000, N'told', 3", 51000, "told"),
    ):
        error = refused(ask, text)
        assert error.msg_no == number and words in str(error), (text, error.msg_no, str(error))
    assert ask("SELECT id, n, u FROM t") == [(1, 1, 7)]


def test_what_an_error_ends(ask):
    """The statement; with XACT_ABORT the batch and the transaction; THROW the batch."""
    ask("CREATE TABLE t (id int PRIMARY KEY)")
    assert (
        refused(ask, "BEGIN TRAN; INSERT INTO t VALUES (1); INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)").msg_no
        == 2627
    )
    assert ask("SELECT @@TRANCOUNT, XACT_STATE(), (SELECT COUNT(*) FROM t)") == [(1, 1, 2)]
    ask("COMMIT")
    assert (
        refused(ask, "BEGIN TRAN; INSERT INTO t VALUES (3); THROW 50001, N'x', 1; INSERT INTO t VALUES (4)").msg_no
        == 50001
    )
    assert ask("SELECT @@TRANCOUNT; ROLLBACK") == [(1,)]
    ask("SET XACT_ABORT ON")
    assert (
        refused(ask, "BEGIN TRAN; INSERT INTO t VALUES (5); INSERT INTO t VALUES (5); INSERT INTO t VALUES (6)").msg_no
        == 2627
    )
    assert ask("SELECT @@TRANCOUNT, XACT_STATE()") == [(0, 0)]
    assert (
        refused(
            ask,
            "BEGIN TRAN; INSERT INTO t VALUES (7); DELETE FROM t WHERE id = 99;"
            " IF @@ROWCOUNT <> 1 THROW 51000, N'missing', 1; COMMIT",
        ).msg_no
        == 51000
    )
    assert ask("SELECT @@TRANCOUNT") == [(0,)]
    assert refused(ask, "INSERT INTO t VALUES (8); SELECT * FROM FROM; COMMIT").msg_no == 102  # nothing of it is run
    assert ask("SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    ask(
        "BEGIN TRAN; UPDATE t SET id = 20 WHERE id = 2; IF @@ROWCOUNT <> 1 THROW 51000, N'missing',"
        " 1; COMMIT TRANSACTION"
    )
    assert ask("IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION; SELECT id FROM t ORDER BY id") == [(1,), (20,)]


def test_control_flow_and_variables(ask):
    assert ask(
        "DECLARE @a int = 2, @s nvarchar(20); SET @s = N'x' + N'y'; IF @a > 1 BEGIN SET @a += 40 END ELSE SET @a = 0;"
        " SELECT @a, @s"
    ) == [(42, "xy")]
    assert ask("DECLARE @i int = 0 WHILE @i < 5 SET @i = @i + 1 SELECT @i") == [(5,)]
    ask("CREATE TABLE t (id int, at datetime2(7))")
    ask("INSERT INTO t SELECT 1, CAST(N'2024-02-29 01:02:03.1234567' AS datetime2(7)) UNION ALL SELECT 2, NULL")
    assert ask("DECLARE @n int, @m datetime2(3); SELECT @n = COUNT(*), @m = MAX(at) FROM t; SELECT @n, @m") == [
        (2, datetime.datetime(2024, 2, 29, 1, 2, 3, 123000))
    ]
    assert ask("IF EXISTS (SELECT 1 FROM t WHERE id = 2) SELECT N'yes' ELSE SELECT N'no'") == [("yes",)]
    assert ask("BEGIN TRY INSERT INTO nope VALUES (1) END TRY BEGIN CATCH SELECT ERROR_NUMBER() END CATCH") == [(208,)]
    assert ask("SELECT CASE WHEN 1 = 1 THEN N'one' END AS c SELECT TOP (1) id FROM t ORDER BY id DESC") == [(2,)]
    assert ask("DECLARE @r int; EXEC @r = sp_executesql N'SELECT @v + 1 AS v', N'@v int', @v = 4; SELECT @r") == [(0,)]
    assert ask("INSERT INTO t (id) OUTPUT inserted.id VALUES (9)") == [(9,)]


def test_changes_by_joins(ask):
    """The set-based forms, a temporary table for a stage."""
    ask("CREATE SCHEMA [s x]")
    ask(
        "CREATE TABLE [s x].[t'] ([k] int NOT NULL, [a b] nvarchar(20) NULL, d datetime2(3) NULL,"
        " CONSTRAINT [pk] PRIMARY KEY ([k]))"
    )
    ask("CREATE TABLE #stage ([k] int NOT NULL, [a b] nvarchar(20) NULL, d datetime2(3) NULL, [op] tinyint NOT NULL)")
    ask("INSERT INTO [s x].[t'] VALUES (1, N'one', '2024-01-01'), (2, N'two', NULL), (3, N'three', NULL)")
    ask(
        "INSERT INTO #stage VALUES (2, N'zwei', '2024-02-02 01:02:03.4567', 1), (3, NULL, NULL, 2),"
        " (4, N'vier', NULL, 1)"
    )
    ask(
        "UPDATE t SET t.[a b] = s.[a b], t.d = s.d FROM [s x].[t'] AS t WITH (UPDLOCK, HOLDLOCK)"
        " JOIN #stage AS s ON t.[k] = s.[k]"
        " WHERE s.op = 1; IF @@ROWCOUNT <> 1 THROW 51000, N'rows', 1"
    )
    ask("DELETE t FROM [s x].[t'] AS t INNER JOIN #stage AS s ON t.[k] = s.[k] WHERE s.op = 2")
    assert ask("SELECT @@ROWCOUNT") == [(1,)]
    ask(
        "INSERT INTO [s x].[t'] WITH (TABLOCK) ([k], [a b], d) SELECT s.[k], s.[a b], s.d FROM"
        " #stage AS s WHERE s.op = 1 AND NOT"
        " EXISTS (SELECT 1 FROM [s x].[t'] AS t WHERE t.[k] = s.[k])"
    )
    assert ask("SELECT * FROM [s x].[t'] ORDER BY k") == [
        (1, "one", datetime.datetime(2024, 1, 1)),
        (2, "zwei", datetime.datetime(2024, 2, 2, 1, 2, 3, 457000)),
        (4, "vier", None),
    ]
    ask("UPDATE t SET [a b] = NULL FROM [s x].[t'] AS t LEFT JOIN #stage AS s ON t.k = s.k WHERE s.k IS NULL")
    ask("DELETE FROM [s x].[t'] WHERE k IN (SELECT k FROM #stage WHERE op = 1 AND [a b] = N'vier')")
    assert ask("SELECT k, [a b] FROM [s x].[t'] ORDER BY k") == [(1, None), (2, "zwei")]
    assert ask("DELETE TOP (1) FROM [s x].[t'] WHERE k > 0; SELECT @@ROWCOUNT") == [(1,)]
    ask("TRUNCATE TABLE #stage; DROP TABLE #stage; DROP TABLE IF EXISTS #stage")
    assert refused(ask, "SELECT * FROM #stage").msg_no == 208


def test_temporary_tables_are_the_sessions(ask, connect):
    ask("CREATE TABLE #t (id int, v nvarchar(7), m money, at datetimeoffset(3), b varbinary(max))")
    assert ask("SELECT CASE WHEN OBJECT_ID(N'tempdb..#t') IS NULL THEN 0 ELSE 1 END, OBJECT_ID(N'#t')") == [(1, None)]
    other = connect()
    assert refused(ask, "SELECT * FROM #t", on=other).msg_no == 208
    assert ask("CREATE TABLE #t (other int); INSERT INTO #t VALUES (5); SELECT * FROM #t", on=other) == [(5,)]
    ask("SELECT id, v INTO #copy FROM #t; INSERT INTO #copy VALUES (1, N'1234567')")
    assert refused(ask, "INSERT INTO #copy VALUES (1, N'12345678')").msg_no == 2628


def test_identity(ask):
    ask(
        "CREATE TABLE t (id int IDENTITY(10, 5) PRIMARY KEY, v nvarchar(9)); CREATE TABLE u (id int"
        " IDENTITY PRIMARY KEY)"
    )
    ask("INSERT INTO t VALUES (N'a'); INSERT INTO t (v) VALUES (N'b')")
    assert ask("SELECT SCOPE_IDENTITY()") == [(15,)]
    ask("SET IDENTITY_INSERT [dbo].[t] ON; INSERT INTO t (id, v) VALUES (100, N'c')")
    assert refused(ask, "SET IDENTITY_INSERT u ON").msg_no == 8107
    assert refused(ask, "INSERT INTO t (v) VALUES (N'd')").msg_no == 545
    ask("SET IDENTITY_INSERT t OFF; INSERT INTO t (v) VALUES (N'e')")
    assert ask("SELECT id, v FROM t ORDER BY id") == [(10, "a"), (15, "b"), (100, "c"), (105, "e")]
    assert refused(ask, "INSERT INTO t (id, v) VALUES (1, N'x')").msg_no == 544


def test_definitions_and_what_the_catalogue_says(ms, ask):
    def columns():
        return ask(
            "SELECT c.name, t.name, c.max_length, c.precision, c.scale, c.is_nullable FROM"
            " sys.columns c JOIN sys.types t"
            " ON t.user_type_id = c.user_type_id WHERE c.object_id = OBJECT_ID(N'[dbo].[t]') ORDER BY c.column_id"
        )

    ask(
        "CREATE TABLE [dbo].[t] (id int NOT NULL, v nvarchar(5) NULL CONSTRAINT DF_v DEFAULT (N'x'),"
        " CONSTRAINT [PK t] PRIMARY KEY (id))"
    )
    ask("ALTER TABLE [dbo].[t] ADD d decimal(12,3) NULL, w varchar(10) NOT NULL CONSTRAINT DF_w DEFAULT 'w'")
    ask("INSERT INTO t (id) VALUES (1)")
    ask("ALTER TABLE t ALTER COLUMN v nvarchar(40) NOT NULL; ALTER TABLE t ALTER COLUMN d decimal(20,5) NULL")
    assert columns() == [
        ("id", "int", 4, 10, 0, False),
        ("v", "nvarchar", 80, 0, 0, False),
        ("d", "decimal", 13, 20, 5, True),
        ("w", "varchar", 10, 0, 0, False),
    ]
    assert refused(ask, "ALTER TABLE t DROP COLUMN w").msg_no == 5074
    ask(
        "ALTER TABLE t DROP CONSTRAINT DF_w; ALTER TABLE t DROP COLUMN w; EXEC sp_rename"
        " N'[dbo].[t].[d]', N'e', N'COLUMN'"
    )
    ask("UPDATE t SET e = 1.234567")
    assert [row[0] for row in columns()] == ["id", "v", "e"] and str(ask("SELECT e FROM t")[0][0]) == "1.23457"
    ask("CREATE UNIQUE INDEX ix ON t (v, e DESC); CREATE TABLE u (v int); CREATE INDEX ix ON u (v)")
    assert ask(
        "SELECT name, is_unique, is_primary_key FROM sys.indexes WHERE object_id = OBJECT_ID('t') ORDER BY name"
    ) == [("PK t", True, True), ("ix", True, False)]
    assert ask("SELECT name, type FROM sys.key_constraints WHERE parent_object_id = OBJECT_ID('t')") == [
        ("PK t", "PK")
    ]
    assert ask("SELECT name FROM sys.default_constraints WHERE parent_object_id = OBJECT_ID('t')") == [("DF_v",)]
    ask("EXEC sp_rename N'[dbo].[t]', N'renamed'")
    assert ask(
        "SELECT OBJECT_ID(N't'), COL_LENGTH(N'dbo.renamed', N'v'), CASE WHEN SCHEMA_ID(N'dbo') > 0 THEN 1 END,"
        " SCHEMA_ID(N'none')"
    ) == [(None, 80, 1, None)]
    ask("INSERT INTO renamed (id, e) VALUES (2, 7)")
    assert ask("SELECT v FROM renamed WHERE id = 2") == [("x",)]
    ask("CREATE TABLE t (id int); DROP TABLE t")  # its name is free again
    ask("CREATE VIEW seen AS SELECT id AS i, v FROM renamed WHERE id > 1")
    assert ask("SELECT * FROM seen") == ms.rows("SELECT i, v FROM seen") == [(2, "x")]


def test_sessions_apart(ask, connect):
    """READ COMMITTED sees what others commit, SNAPSHOT does not; locks time out with 1222."""
    ask("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
    other = connect()
    ask("BEGIN TRAN; SELECT v FROM t", on=other)
    ask("UPDATE t SET v = 1")
    assert ask("SELECT v FROM t; COMMIT", on=other) == [(1,)]
    ask("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT v FROM t", on=other)
    ask("UPDATE t SET v = 2")
    assert ask("SELECT v FROM t", on=other) == [(1,)]
    error = refused(ask, "UPDATE t SET v = 3", on=other)
    assert error.msg_no == 3960 and ask("SELECT @@TRANCOUNT", on=other) == [(0,)]
    ask("SET TRANSACTION ISOLATION LEVEL READ COMMITTED; SET LOCK_TIMEOUT 100; BEGIN TRAN", on=other)
    ask("BEGIN TRAN; UPDATE t SET v = 4")
    assert refused(ask, "UPDATE t SET v = 5", on=other).msg_no == 1222
    assert ask("SELECT @@TRANCOUNT; ROLLBACK", on=other) == [(1,)]
    ask("COMMIT")
    ask("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF")
    assert (
        refused(ask, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN; SELECT v FROM t", on=connect()).msg_no
        == 3952
    )


LOCK = (
    "DECLARE @r int; EXEC @r = sp_getapplock @Resource = N'sluice:p', @LockMode = N'Exclusive',"
    " @LockOwner = N'Session',"
    " @LockTimeout = {}; SELECT @r"
)


def test_locks_of_an_application(ask, connect):
    assert ask(LOCK.format(0)) == [(0,)]
    other = connect()
    assert ask(LOCK.format(0), on=other) == [(-1,)] and ask(LOCK.format(100), on=other) == [(-1,)]
    assert (
        refused(ask, "EXEC sp_releaseapplock @Resource = N'sluice:p', @LockOwner = N'Session'", on=other).msg_no
        == 1223
    )
    release = "EXEC sp_releaseapplock @Resource = N'sluice:p', @LockOwner = N'Session'"
    later = threading.Timer(0.3, lambda: ask(release))
    later.start()
    assert ask(LOCK.format(20000), on=other) == [(1,)]
    later.join(20)  # one connection is one thread's
    assert ask(LOCK.format(0)) == [(-1,)]
    other.close()  # with the session goes its lock
    deadline = time.monotonic() + 20
    while ask(LOCK.format(0)) != [(0,)]:
        assert time.monotonic() < deadline
    ask("BEGIN TRAN; ROLLBACK")
    assert ask(LOCK.format(0), on=connect()) == [(-1,)]  # the session's, not the transaction's


def test_deadlock(ask, connect):
    ask("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0), (2, 0)")
    a, b = connect(), connect()
    ask("BEGIN TRAN; UPDATE t SET v = 1 WHERE id = 1", on=a)
    ask("BEGIN TRAN; UPDATE t SET v = 2 WHERE id = 2", on=b)
    errors: list[int] = []

    def cross(conn, number):
        try:
            ask(f"UPDATE t SET v = 9 WHERE id = {number}; COMMIT", on=conn)
        except pytds.Error as error:
            errors.append(error.msg_no)

    threads = [threading.Thread(target=cross, args=part) for part in ((a, 2), (b, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == [1205]
    assert sorted(ask("SELECT @@TRANCOUNT", on=conn)[0][0] for conn in (a, b)) == [0, 0]


def test_faults(own_mssql):
    """Each knob of the README's table."""
    ms = own_mssql.create_database()
    ms.execute("CREATE TABLE t (id int PRIMARY KEY)")

    def connect():
        return pytds.connect(
            "127.0.0.1",
            port=own_mssql.port,
            database=ms.name,
            user=USER,
            password=PASSWORD,
            autocommit=True,
            timeout=30,
        )

    with connect() as conn:
        cursor = conn.cursor()
        own_mssql.fail_on("INSERT INTO t", 1205)
        cursor.execute("BEGIN TRAN")
        with pytest.raises(pytds.Error) as failed:
            cursor.execute("INSERT INTO t VALUES (1)")
        assert failed.value.msg_no == 1205
        cursor.execute("SELECT @@TRANCOUNT")
        assert cursor.fetchall() == [(0,)]
        own_mssql.fail_on("INSERT INTO t", 9002, skip=1)
        cursor.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(pytds.Error) as failed:
            cursor.execute("INSERT INTO t VALUES (3)")
        assert failed.value.msg_no == 9002
        own_mssql.cut_on("^COMMIT")
        cursor.execute("BEGIN TRAN; INSERT INTO t VALUES (4)")
        with pytest.raises((pytds.Error, OSError)):
            cursor.execute("COMMIT")
    with connect() as conn:
        cursor = conn.cursor()
        cursor.execute("SELECT id FROM t ORDER BY id")  # it was committed, the reply was lost
        assert cursor.fetchall() == [(2,), (4,)]
        own_mssql.fail_on("INSERT", 40613)
        with pytest.raises(pytds.Error) as failed:
            cursor.execute("INSERT INTO t VALUES (5)")
        assert failed.value.msg_no == 40613
        with pytest.raises((pytds.Error, OSError)):
            cursor.execute("SELECT 1")
    held = own_mssql.hang_on("INSERT")
    conn = connect()
    thread = threading.Thread(target=lambda: conn.cursor().execute("INSERT INTO t VALUES (6)"))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    held.set()
    thread.join(20)
    assert ms.query("SELECT id FROM t ORDER BY id") == [(2,), (4,), (6,)]
    own_mssql.kill9()
    with pytest.raises((pytds.Error, OSError)):
        connect()
    own_mssql.start()
    with connect() as conn:
        cursor = conn.cursor()
        cursor.execute("SELECT COUNT(*) FROM t")
        assert cursor.fetchall() == [(3,)]


def test_permissions(ms, ask):
    ms.server.users["reader"] = "Pw"
    ask("CREATE TABLE t (id int); DENY INSERT ON [dbo].[t] TO [reader]")
    with pytds.connect(
        "127.0.0.1", port=ms.server.port, database=ms.name, user="reader", password="Pw", autocommit=True
    ) as conn:
        cursor = conn.cursor()
        cursor.execute("SELECT id FROM t")
        cursor.execute(
            "SELECT HAS_PERMS_BY_NAME(N'[dbo].[t]', N'OBJECT', N'INSERT'), HAS_PERMS_BY_NAME(N'dbo.t', 'OBJECT',"
            " 'SELECT'), HAS_PERMS_BY_NAME(N'dbo.none', 'OBJECT', 'SELECT')"
        )
        assert cursor.fetchall() == [(0, 1, None)]
        with pytest.raises(pytds.Error, match="The INSERT permission was denied on the object 't'") as failed:
            cursor.execute("INSERT INTO t VALUES (1)")
        assert failed.value.msg_no == 229


def test_attention(ask, connect):
    """A statement that runs is stopped; the transaction stays; the connection is good."""
    conn = connect(timeout=1)
    ask("BEGIN TRAN", on=conn)
    began = time.monotonic()
    with pytest.raises((pytds.Error, TimeoutError)):
        ask("WAITFOR DELAY '00:00:30'", on=conn)
    assert time.monotonic() - began < 10
