"""What a result has: the T-SQL types of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import pq

from . import tsql
from .errors import ServerError
from .tokens import Column
from .tsqltypes import TsqlType

if TYPE_CHECKING:
    from .engine import Engine

BY_OID = {
    16: TsqlType("bit"),
    21: TsqlType("smallint"),
    23: TsqlType("int"),
    20: TsqlType("bigint"),
    26: TsqlType("bigint"),
    700: TsqlType("real"),
    701: TsqlType("float"),
    17: TsqlType("varbinary", -1),
    2950: TsqlType("uniqueidentifier"),
    1700: TsqlType("decimal", precision=38, scale=6),
}


def columns(engine: Engine, result: pq.abc.PGresult, query: tsql.Query) -> list[Column]:
    """By what the text says, by the declared types of the tables that it comes from, by PostgreSQL's types."""
    origins = [(result.ftable(k), result.ftablecol(k)) for k in range(result.nfields)]
    said: list = query.types if len(query.types) == result.nfields else [None] * result.nfields
    if query.tree is not None:
        origins = probed(engine, result, query, origins, said)
    pairs = {pair for pair in origins if pair[0]}
    kept: dict[tuple[int, int], list] = {}
    if pairs:
        listed = ", ".join(f"({table}, {col})" for table, col in pairs)
        for row in engine.values(
            "SELECT relid, attnum, type, length, precision, scale, is_nullable, is_identity, is_computed,"
            " coalesce(collated, '')"
            f" FROM tds.columns WHERE (relid, attnum) IN ({listed})"
        ):
            kept[int(row[0] or 0), int(row[1] or 0)] = row[2:]
    loose = query.tree is not None and any(join.side for join in query.tree.find_all(tsql.exp.Join))
    out = []
    for k, origin in enumerate(origins):
        name = (result.fname(k) or b"").decode()
        name = (
            "" if name in ("?column?", "coalesce", "case", "count", "max", "min", "sum") and origin[0] == 0 else name
        )
        row, direct = kept.get(origin), result.ftable(k) != 0
        if result.ftype(k) == 1042:
            out.append(Column(name, TsqlType("utf16", -1)))
        elif isinstance(said[k], str):
            out.append(Column(name, engine.variable(said[k])[0]))
        elif said[k] is not None:
            out.append(Column(name, said[k]))
        elif row is not None:
            digits = int(row[2]) if row[0] in ("decimal", "numeric") else 0
            kind = TsqlType(row[0], int(row[1]), digits, int(row[3]), row[7])
            nullable = row[4] == "t" or not direct or loose
            out.append(Column(name, kind, nullable, row[5] == "t" and direct, row[6] == "t" and direct))
        else:
            out.append(Column(name, guess(result, k)))
    return out


def guess(result: pq.abc.PGresult, k: int) -> TsqlType:
    if result.ftype(k) == 1700:
        texts = [(result.get_value(i, k) or b"").decode() for i in range(result.ntuples)]
        digits = [len(text.partition(".")[2]) for text in texts]
        return TsqlType("decimal", precision=38, scale=max(digits, default=0))
    return BY_OID.get(result.ftype(k), TsqlType("nvarchar", -1))


def probed(
    engine: Engine, result: pq.abc.PGresult, query: tsql.Query, origins: list[tuple[int, int]], said: list
) -> list[tuple[int, int]]:
    """MIN(c), ISNULL(c, …): of the type of c."""
    tree = query.tree
    exp = tsql.exp
    if not isinstance(tree, exp.Select) or len(tree.expressions) != result.nfields:
        return origins
    asked = {}
    for k, node in enumerate(tree.expressions):
        inner = node.this if isinstance(node, exp.Alias) else node
        if origins[k][0] == 0 and said[k] is None and isinstance(inner, (exp.Max, exp.Min, exp.Coalesce)):
            found = inner.find(exp.Column)
            if found is not None:
                asked[k] = found
    if not asked or result.nfields == 0:
        return origins
    probe = exp.Select(expressions=[column.copy() for column in asked.values()])
    for part in ("from_", "joins", "with_"):
        if tree.args.get(part):
            value = tree.args[part]
            probe.set(part, [v.copy() for v in value] if isinstance(value, list) else value.copy())
    sql, values = engine.bind(
        tsql.Query(probe.sql(dialect="postgres", identify=True) + " LIMIT 0", "SELECT", query.variables)
    )
    if values is not None:
        sql += "" if all(f"${i + 1}" in sql for i in range(len(values))) else " "
    try:
        shape = engine.guarded(lambda: engine.ask(sql, values))
    except ServerError:
        return origins
    origins = list(origins)
    for place, k in enumerate(asked):
        origins[k] = (shape.ftable(place), shape.ftablecol(place))
    return origins
