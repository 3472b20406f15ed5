"""The data of the benchmarks: L (lineitem-like), W (101 columns), J (jsonb and text)."""

from __future__ import annotations

from dataclasses import dataclass

from support.pg import PgDatabase


@dataclass
class Table:
    """A table to copy. columns: (name, kind) with the kinds of verify.TYPES."""

    name: str
    letter: str
    rows: int
    columns: list[tuple[str, str]]


LINEITEM_DDL = """
CREATE TABLE lineitem (
    l_orderkey bigint NOT NULL, l_partkey int NOT NULL, l_suppkey int NOT NULL, l_linenumber int NOT NULL,
    l_quantity numeric(15,2) NOT NULL, l_extendedprice numeric(15,2) NOT NULL,
    l_discount numeric(15,2) NOT NULL, l_tax numeric(15,2) NOT NULL,
    l_returnflag char(1) NOT NULL, l_linestatus char(1) NOT NULL,
    l_shipdate date NOT NULL, l_commitdate date NOT NULL, l_receiptdate date NOT NULL,
    l_shipinstruct char(25) NOT NULL, l_shipmode char(10) NOT NULL, l_comment varchar(44) NOT NULL)
"""

# Words of TPC-H's grammar; a comment is a few of them, cut as dbgen cuts.
WORDS = (
    "furiously quickly carefully blithely slyly ironic final regular express special bold pending even"
    " deposits requests accounts packages instructions foxes theodolites pinto beans dependencies"
    " sleep haggle nag wake use boost integrate above according to the across against along"
).split()


def _lineitem(rows: int) -> list[str]:
    words = "ARRAY[" + ",".join(f"'{word}'" for word in WORDS) + "]"
    size = len(WORDS)
    pick = " || ' ' || ".join(f"w[1 + (h >> {shift}) % {size}]" for shift in (0, 6, 12, 18, 24, 30, 36))
    return [
        LINEITEM_DDL,
        "SELECT setseed(0.42)",
        f"""
INSERT INTO lineitem
SELECT 1 + i / 4 * 8 + i % 4, 1 + (random() * 200000)::int, 1 + (random() * 10000)::int, 1 + i % 7,
    q, round(q * (900 + (random() * 104000)::int / 100.0), 2), (random() * 10)::int / 100.0,
    (random() * 8)::int / 100.0,
    (ARRAY['A','N','R'])[1 + (random() * 2.99)::int % 3], (ARRAY['O','F'])[1 + (random() * 1.99)::int % 2],
    d, d + (random() * 60)::int, d + (random() * 30)::int,
    (ARRAY['DELIVER IN PERSON','COLLECT COD','NONE','TAKE BACK RETURN'])[1 + (random() * 3.99)::int % 4],
    (ARRAY['REG AIR','AIR','RAIL','SHIP','TRUCK','MAIL','FOB'])[1 + (random() * 6.99)::int % 7],
    left(c, 10 + (h % 34)::int)
FROM (SELECT i, (1 + (random() * 49)::int)::numeric(15,2) AS q,
        date '1992-01-02' + (random() * 2520)::int AS d, h, {pick} AS c
      FROM (SELECT i, (random() * 4503599627370495)::bigint AS h, {words} AS w
            FROM generate_series(0, {rows - 1}) i) x) y
""",
    ]


_LINEITEM_COLUMNS = [
    ("l_orderkey", "int"), ("l_partkey", "int"), ("l_suppkey", "int"), ("l_linenumber", "int"),
    ("l_quantity", "decimal"), ("l_extendedprice", "decimal"), ("l_discount", "decimal"), ("l_tax", "decimal"),
    ("l_returnflag", "text"), ("l_linestatus", "text"),
    ("l_shipdate", "date"), ("l_commitdate", "date"), ("l_receiptdate", "date"),
    ("l_shipinstruct", "text"), ("l_shipmode", "text"), ("l_comment", "text"),
]

_WIDE_CYCLE = [
    ("int", "int", "(random() * 2000000000)::int"),
    ("bigint", "int", "(random() * 9000000000000000)::bigint"),
    ("double precision", "float", "random() * 1e6"),
    ("text", "text", "md5((random() * 1e9)::int::text)"),
    ("timestamptz", "timestamp",
     "timestamptz '2020-01-01 00:00:00+00' + random() * 1e8 * interval '1 second'"),
]


def _wide(rows: int) -> tuple[list[str], list[tuple[str, str]]]:
    names, kinds, values = ["id bigint"], [("id", "int")], ["i"]
    for number in range(100):
        sql_type, kind, value = _WIDE_CYCLE[number % len(_WIDE_CYCLE)]
        names.append(f"c{number:02d} {sql_type}")
        kinds.append((f"c{number:02d}", kind))
        values.append(value)
    return [
        f"CREATE TABLE wide ({', '.join(names)})",
        "SELECT setseed(0.43)",
        f"INSERT INTO wide SELECT {', '.join(values)} FROM generate_series(1, {rows}) i",
    ], kinds


def _json(rows: int) -> list[str]:
    return [
        "CREATE TABLE doc (id bigint NOT NULL, doc jsonb NOT NULL, body text NOT NULL)",
        "SELECT setseed(0.44)",
        f"""
INSERT INTO doc
SELECT i, jsonb_build_object('id', i, 'user', jsonb_build_object('name', md5(random()::text),
        'email', 'u' || i || '@example.org', 'active', i % 3 = 0),
        'tags', jsonb_build_array('a' || i % 17, 'b' || i % 23, 'quoted "' || i % 5 || '"'),
        'price', round((random() * 1000)::numeric, 2), 'note', CASE WHEN i % 4 > 0 THEN repeat(md5(i::text), 3) END),
    'Line ' || i || E'\\nwith "quotes", a \\\\ and ' || repeat(md5((i * 7)::text), 1 + i % 6)
FROM generate_series(1, {rows}) i
""",
    ]


def build(db: PgDatabase, quick: bool, letters: str) -> list[Table]:
    """Creates and fills the tables, frozen and warm."""
    factor = 1 if quick else 4
    tables = []
    with db.connect() as conn:
        conn.execute("SET synchronous_commit = off")
        for letter in letters:
            if letter == "L":
                rows = (1_000_000 if quick else 6_000_000)
                statements, columns, name = _lineitem(rows), _LINEITEM_COLUMNS, "lineitem"
            elif letter == "W":
                rows = 125_000 * factor
                (statements, columns), name = _wide(rows), "wide"
            else:
                rows = 250_000 * factor
                statements, name = _json(rows), "doc"
                columns = [("id", "int"), ("doc", "json"), ("body", "text")]
            for statement in statements:
                conn.execute(statement)  # type: ignore[arg-type]
            conn.execute(f"VACUUM (FREEZE, ANALYZE) {name}")
            conn.execute(f"SELECT count(*) FROM {name}")
            tables.append(Table(name, letter, rows, columns))
        conn.execute("CHECKPOINT")
    return tables
