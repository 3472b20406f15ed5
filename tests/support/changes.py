"""Change files read independently: what they hold, whether the chain is whole, what tables they make.

    read = lake.Lake(store)
    feed = changes.Feed(read)                        # checks every manifest of kind cdc
    print(changes.compare_all(feed, db, streams))    # lost=0 dup=0 diff=0, or an error that says what

The reader's rule: a stream is its newest complete run, then the change rows with a greater position in
(_pos, _seq) order. `_unchanged` columns keep the value they had, D removes, T empties, a keyless
stream is a multiset of whole rows. A reader that follows the rule strictly also notices what must not
happen: an insert of a row that is there, an update or delete of one that is not.
"""

from __future__ import annotations

import datetime
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from .lake import Comparison, Lake, LakeError, LakeFile, fetch, key_segment, parse_csv, source_csv, source_select
from .pg import PgDatabase

Row = dict[str, Any]

_POSITION = re.compile(r"[0-9a-f]{16}([0-9a-f]{4})?")  # of PostgreSQL, of SQL Server
_META = ("_op", "_pos", "_seq", "_commit_ts", "_tx", "_unchanged")
_UNAVAILABLE = "__debezium_unavailable_value"
_DEBEZIUM = {"c": "I", "u": "U", "d": "D", "t": "T", "r": "R"}


# ---------------------------------------------------------------- JSON, fast and exact


class Pairs(tuple):
    """A nested object as it is written."""

    __slots__ = ()


# A number becomes NUL and its token: no string of PostgreSQL holds NUL, so 1, 1.0 and "1" all differ.
_TOKEN = "\0".__add__
_DECODER = json.JSONDecoder(parse_int=_TOKEN, parse_float=_TOKEN, object_pairs_hook=Pairs)


def decode(text: str) -> Row:
    """One row: its columns in order, numbers as NUL + token, nested objects as pairs."""
    value = _DECODER.decode(text)
    if not isinstance(value, Pairs):
        raise LakeError(f"not an object: {text[:200]}")
    out = dict(value)
    if len(out) != len(value):
        raise LakeError(f"a column twice: {text[:200]}")
    return out


def number(token: Any) -> int:
    """The value of a number token of decode(), of a string of digits, or of a number."""
    return int(token[1:] if isinstance(token, str) and token[:1] == "\0" else token)


def shown(value: Any) -> str:
    text = repr(value).replace("\\x00", "#")
    return text if len(text) <= 400 else text[:400] + "…"


# ---------------------------------------------------------------- events


@dataclass(slots=True)
class Event:
    """One row of a change file."""

    op: str  # I U D T
    pos: str
    seq: int
    row: Row  # without what is not sent
    unchanged: tuple[str, ...]
    file: LakeFile
    ts: str | None = None
    tx: str | None = None


def _columns_events(file: LakeFile, prefix: str) -> Iterator[Event]:
    names = [prefix + name[1:] for name in _META]
    if file.is_csv:
        header, *rows = parse_csv(file.text)
        lines: Iterable[Row] = (dict(zip(header, row, strict=True)) for row in rows)  # type: ignore[arg-type]
    else:
        lines = map(decode, file.lines())
    for row in lines:
        try:
            op, pos, seq, ts, tx = (row.pop(name) for name in names[:5])
        except KeyError as missing:
            raise LakeError(f"{file.key}: a row without {missing}: {shown(row)}") from None
        unchanged = row.pop(names[5], None)
        if isinstance(unchanged, str):
            unchanged = json.loads(unchanged)
        if file.is_csv:
            for name in unchanged or ():
                if row.pop(name) is not None:
                    raise LakeError(f"{file.key}: {name} is unchanged and has a value")
        yield Event(op, pos, number(seq), row, tuple(unchanged or ()), file, ts, tx)


def _debezium_events(file: LakeFile) -> Iterator[Event]:
    for line in file.lines():
        envelope = decode(line)
        source = dict(envelope["source"])
        op = _DEBEZIUM[envelope["op"]]
        row = dict(envelope["before" if op == "D" else "after"] or ())
        unchanged = tuple(name for name, value in row.items() if value == _UNAVAILABLE)
        for name in unchanged:
            del row[name]
        yield Event(op, source["_pos"], number(source["_seq"]), row, unchanged, file)


class Feed:
    """The manifests of kind cdc of one lake, checked, and the events that they name."""

    def __init__(self, read: Lake, shape: str = "columns", metadata_prefix: str = "_"):
        self.lake, self.shape, self.prefix = read, shape, metadata_prefix
        self.manifests = [manifest for manifest in read.manifests if manifest["kind"] == "cdc"]
        self.columns: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._events: dict[str, list[Event]] = defaultdict(list)
        self._check_chain()
        self._read()

    # -- the chain

    def _check_chain(self) -> None:
        last: dict[tuple[str, str, str], dict[str, Any]] = {}
        for manifest in self.manifests:
            where = f"{manifest['pipeline']}/{manifest['sink']} manifest {manifest['seq']}"
            for name in ("shard", "epoch", "from", "to", "committed_at", "token"):
                if name not in manifest:
                    raise LakeError(f"{where}: no {name}")
            for name in ("from", "to"):
                if not _POSITION.fullmatch(manifest[name]):
                    raise LakeError(f"{where}: {name} is {manifest[name]!r}")
            if not manifest["from"] < manifest["to"]:
                raise LakeError(f"{where}: from {manifest['from']} is not before to {manifest['to']}")
            if not manifest.get("files"):
                raise LakeError(f"{where}: names no file")
            chain = (manifest["pipeline"], manifest["sink"], manifest["shard"])
            before = last.get(chain)
            if before is not None:
                if before["to"] != manifest["from"]:
                    kind = "hole" if before["to"] < manifest["from"] else "overlap"
                    raise LakeError(f"{where}: {kind}, from {manifest['from']} after to {before['to']}")
                if manifest["epoch"] <= before["epoch"]:
                    raise LakeError(f"{where}: epoch {manifest['epoch']} after {before['epoch']}")
            last[chain] = manifest
            self._check_columns(where, manifest)
        self.last = last

    def _check_columns(self, where: str, manifest: dict[str, Any]) -> None:
        for entry in manifest.get("streams", []):
            key = (entry["name"], entry["schema_id"])
            known = self.columns.setdefault(key, entry["columns"])
            if known != entry["columns"]:
                raise LakeError(f"{where}: {key} has other columns than before: {entry['columns']} and {known}")
        for file in manifest["files"]:
            key = (file["stream"], file["schema_id"])
            if not any((entry["name"], entry["schema_id"]) == key for entry in manifest["streams"]):
                raise LakeError(f"{where}: {file['key']} has the schema {key}, which streams[] does not describe")
            first, final = file.get("first_pos"), file.get("last_pos")
            if first is None or final is None:
                raise LakeError(f"{where}: {file['key']} without first_pos and last_pos")
            if not manifest["from"] < first <= final <= manifest["to"]:
                raise LakeError(
                    f"{where}: {file['key']} {first} … {final} outside ({manifest['from']}, {manifest['to']}]"
                )
            shape = re.escape(key_segment(file["stream"])) + r"/cdc/dt=\d{4}-\d\d-\d\d/[^/]+"
            if not re.fullmatch(shape, file["key"]) or not file["key"].rsplit("/", 1)[1].startswith(first):
                raise LakeError(f"{where}: the key {file['key']} is not as documented (first_pos {first})")

    # -- the rows

    def _read(self) -> None:
        entries = [(manifest, file) for manifest in self.manifests for file in manifest["files"]]
        size = 500
        for start in range(0, len(entries), size):
            some = entries[start : start + size]
            texts = fetch(self.lake.store, [file["key"] for _manifest, file in some])
            for manifest, file in some:
                columns = self.columns[file["stream"], file["schema_id"]]
                read = self.lake.read_file(manifest, file, columns, texts[file["key"]])
                self._take(manifest, file, read)
        for events in self._events.values():
            events.sort(key=lambda event: (event.pos, event.seq))  # stable: D stays before its I

    def _take(self, manifest: dict[str, Any], entry: dict[str, Any], file: LakeFile) -> None:
        names = {column["name"] for column in file.columns}
        keys = {column["name"] for column in file.columns if column.get("key")}
        known: set[frozenset] = set()
        made = _debezium_events(file) if self.shape == "debezium" else _columns_events(file, self.prefix)
        events = list(made)
        file.text = ""
        at = ("", 0)
        for event in events:
            if event.op not in "IUDT":
                raise LakeError(f"{file.key}: op {event.op!r}")
            if (event.pos, event.seq) < at:
                raise LakeError(f"{file.key}: {event.pos}/{event.seq} stands behind {at}")
            at = (event.pos, event.seq)
            if event.op == "T":
                continue
            shape = frozenset(event.row)
            if event.op != "D" and shape | set(event.unchanged) != names:
                raise LakeError(
                    f"{file.key}: a row of {sorted(shape)} unchanged {event.unchanged}, columns {sorted(names)}"
                )
            if event.op == "D" and shape not in known:
                if not (shape <= names and keys <= shape):
                    raise LakeError(f"{file.key}: D has {sorted(shape)}, key {sorted(keys)}")
                known.add(shape)
            if event.unchanged and event.op == "D":
                raise LakeError(f"{file.key}: a D with unchanged columns")
        if events and not entry["first_pos"] == events[0].pos <= events[-1].pos == entry["last_pos"]:
            raise LakeError(f"{file.key}: holds {events[0].pos} … {events[-1].pos}, manifest says {entry}")
        self._check_date(file, events)
        self._events[file.stream] += events

    def _check_date(self, file: LakeFile, events: list[Event]) -> None:
        if events and events[0].ts:
            date = re.search(r"/dt=(\d{4}-\d\d-\d\d)/", file.key)[1]  # type: ignore[index]
            if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", events[0].ts):
                raise LakeError(f"{file.key}: _commit_ts {events[0].ts!r}")
            if events[0].ts[:10] != date:
                raise LakeError(f"{file.key}: the first row was committed at {events[0].ts}")

    def names(self) -> list[str]:
        return sorted(self._events)

    def events(self, stream: str, after: str | None = None) -> list[Event]:
        """In (_pos, _seq) order; after: only those with a greater position."""
        found = self._events.get(stream, [])
        return found if after is None else [event for event in found if event.pos > after]

    def twice(self, stream: str) -> list[Event]:
        """Changes that are there again; a D and its I share one number."""
        found, last = [], ("", 0, "")
        for event in self._events.get(stream, []):
            if last[:2] == (event.pos, event.seq) and not (last[2] == "D" and event.op == "I"):
                found.append(event)
            last = (event.pos, event.seq, event.op)
        return found

    def count(self) -> int:
        return sum(map(len, self._events.values()))

    def newest_columns(self, stream: str) -> list[dict[str, Any]]:
        """As the last manifest that mentions the stream describes them."""
        for manifest in reversed(self.lake.manifests):
            for entry in manifest.get("streams", []):
                if entry["name"] == stream and entry.get("columns"):
                    return entry["columns"]
        return []


# ---------------------------------------------------------------- tables made of events


@dataclass
class Table:
    """The state of a stream, and what went wrong on the way there."""

    stream: str
    key: list[str]
    rows: dict[Any, Row] = field(default_factory=dict)
    counts: Counter = field(default_factory=Counter)  # of keyless rows
    dup: int = 0
    anomalies: list[str] = field(default_factory=list)
    events: int = 0
    _last: tuple = ()
    _gone: Row | None = None

    def ident(self, row: Row) -> Any:
        if self.key:
            key = tuple(row.get(name) for name in self.key)
            try:
                hash(key)
            except TypeError:
                return repr(key)
            return key
        return repr(sorted(row.items()))

    def __len__(self) -> int:
        return len(self.rows) if self.key else sum(self.counts.values())

    def all_rows(self) -> Iterator[Row]:
        for ident, row in self.rows.items():
            for _ in range(1 if self.key else self.counts[ident]):
                yield row

    def odd(self, event: Event, what: str) -> None:
        if len(self.anomalies) < 50:
            self.anomalies.append(f"{event.pos}/{event.seq} {event.op}: {what}: {shown(event.row)} in {event.file.key}")
        else:
            self.anomalies.append("…")

    def add(self, row: Row) -> bool:
        ident = self.ident(row)
        fresh = ident not in self.rows
        self.rows[ident] = row
        if not self.key:
            self.counts[ident] += 1
            return True
        return fresh

    def apply(self, event: Event, strict: bool = True) -> None:
        self.events += 1
        same = (event.pos, event.seq)
        gone, self._gone = (self._gone if same == self._last else None), None
        self._last = same
        if event.op == "T":
            self.rows.clear()
            self.counts.clear()
            return
        if event.op == "D":
            self._gone = self._remove(event, strict)
            return
        row = event.row
        if event.unchanged:
            old = gone if event.op == "I" else self.rows.get(self.ident(row))
            if old is None:
                if strict:
                    self.odd(event, "unchanged values of a row that is not there")
                old = {}
            row = {**row, **{name: old.get(name) for name in event.unchanged}}
        if event.op == "U":
            if not self.key:
                self.odd(event, "U of a stream without key")
            elif self.ident(row) not in self.rows and strict:
                self.odd(event, "the row is not there")
            self.add(row)
        elif not self.add(row) and strict:
            self.odd(event, "the row is there already")

    def _remove(self, event: Event, strict: bool) -> Row | None:
        ident = self.ident(event.row)
        old = self.rows.get(ident)
        if old is None:
            if strict:
                self.odd(event, "the row is not there")
            return None
        if not self.key:
            self.counts[ident] -= 1
            if self.counts[ident] > 0:
                return old
            del self.counts[ident]
        del self.rows[ident]
        return old


def load_rows(feed: Feed, files: list[LakeFile]) -> Iterator[Row]:
    for file in files:
        if file.is_csv:
            header, *rows = parse_csv(file.text)
            made: Iterable[Row] = (dict(zip(header, row, strict=True)) for row in rows)  # type: ignore[arg-type]
        else:
            made = map(decode, file.lines())
        for row in made:
            for name in _META:
                row.pop(feed.prefix + name[1:], None)
            yield row


def rebuild(feed: Feed, stream: str, strict: bool = True,
            each: Callable[[Table, Event | None], None] | None = None) -> Table:
    """The stream's state: newest complete run, then the changes. each(table, event) is called after
    every event, and once with None when the load is in."""
    read = feed.lake.stream(stream) if stream in feed.lake.names() else None
    columns = feed.newest_columns(stream) or (read.columns if read else [])
    table = Table(stream, [column["name"] for column in columns if column.get("key")])
    if read is not None and read.run is not None:
        for row in load_rows(feed, read.files):
            if not table.add(row):
                table.dup += 1
                table.anomalies.append(f"load: twice: {shown(row)}")
        if read.position is None:
            raise LakeError(f"{stream}: the run {read.run} has no load position")
    for event in feed.twice(stream):
        table.dup += 1
        table.odd(event, "named twice")
    if each is not None:
        each(table, None)
    after = read.position if read is not None and read.run is not None else None
    for event in feed.events(stream, after):
        table.apply(event, strict)
        if each is not None:
            each(table, event)
    return table


# ---------------------------------------------------------------- the comparer


def source_rows(db: PgDatabase, relation: str, as_csv: bool = False, select: str | None = None) -> Iterator[Row]:
    """What the source holds now, in the same form as decode() makes."""
    select = select or source_select(db, relation, "", "hex" if as_csv else "base64")
    if as_csv:
        header, *rows = source_csv(db, select)
        for row in rows:
            yield dict(zip(header, row, strict=True))  # type: ignore[arg-type]
        return
    with db.connect(autocommit=False) as conn, conn.cursor(name="source") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT row_to_json(_sluice_row)::text FROM ({select}) _sluice_row")  # type: ignore[arg-type]
        for (text,) in cursor:
            yield decode(text)


def compare_rows(table: Table, expected: Iterable[Row], adapt: Callable[[Row], Row] | None = None) -> Comparison:
    """lost: in the source alone. dup: in the lake more often, or named twice. diff: other content, or
    something that a strict reader must stumble over."""
    want = Table(table.stream, table.key)
    total = 0
    for row in expected:
        total += 1
        if not want.add(row):
            raise LakeError(f"{table.stream}: {table.key} is no key at the source: {shown(row)}")
    have = table
    if adapt is not None:
        have = Table(table.stream, table.key)
        for row in table.all_rows():
            have.add(adapt(dict(row)))
    out = Comparison(table.stream, total, len(have), dup=table.dup, diff=len(table.anomalies))
    out.samples += table.anomalies[:8]
    if not table.key:
        out.lost += sum((want.counts - have.counts).values())
        out.dup += sum((have.counts - want.counts).values())
        out.samples += [f"lost: {shown(want.rows[i])}" for i in list(want.counts - have.counts)[:3]]
        out.samples += [f"surplus: {shown(have.rows[i])}" for i in list(have.counts - want.counts)[:3]]
        return out
    for ident, row in want.rows.items():
        got = have.rows.get(ident)
        if got is None:
            out.lost += 1
            out.samples.append(f"lost: {shown(row)}")
        elif got != row:
            out.diff += 1
            names = [name for name in {**row, **got} if row.get(name, "\0\0") != got.get(name, "\0\0")]
            out.samples.append(
                f"diff: {ident}: " + ", ".join(
                    f"{name}: source {shown(row.get(name, 'absent'))} lake {shown(got.get(name, 'absent'))}"
                    for name in names[:4]
                )
            )
    for ident, row in have.rows.items():
        if ident not in want.rows:
            out.dup += 1
            out.samples.append(f"surplus: {shown(row)}")
    return out


def compare(feed: Feed, db: PgDatabase, stream: str, relation: str | None = None, strict: bool = True,
            adapt: Callable[[Row], Row] | None = None, select: str | None = None) -> Comparison:
    """A stream as its reader sees it against the table as it is."""
    table = rebuild(feed, stream, strict)
    files = [event.file for event in feed.events(stream)[:1]]
    if not files and stream in feed.lake.names():
        files = feed.lake.stream(stream).files[:1]
    as_csv = any(file.is_csv for file in files)
    return compare_rows(table, source_rows(db, relation or stream, as_csv, select), adapt)


@dataclass
class Totals:
    """Of several streams; str() is the end of a result line."""

    rows: int = 0
    lost: int = 0
    dup: int = 0
    diff: int = 0

    @property
    def ok(self) -> bool:
        return not (self.lost or self.dup or self.diff)

    def __str__(self) -> str:
        return f"lost={self.lost} dup={self.dup} diff={self.diff}"


def totals(outcomes: Iterable[Comparison]) -> Totals:
    """Their sum; raises with what is wrong unless all agree."""
    out, bad = Totals(), []
    for outcome in outcomes:
        out.rows += outcome.expected
        out.lost += outcome.lost
        out.dup += outcome.dup
        out.diff += outcome.diff
        if not outcome.ok:
            bad.append(str(outcome))
    if bad:
        raise LakeError(f"{out}\n" + "\n".join(bad))
    return out


def compare_all(feed: Feed, db: PgDatabase, streams: dict[str, str] | Iterable[str], strict: bool = True) -> Totals:
    """Every stream against its table; raises with what is wrong unless all agree."""
    pairs = streams if isinstance(streams, dict) else {name: name for name in streams}
    return totals(compare(feed, db, stream, relation, strict) for stream, relation in pairs.items())


# ---------------------------------------------------------------- the invariants of load W


def check_bank(feed: Feed, accounts: int, total: int, stream: str = "public.account") -> int:
    """The sum of all balances after every transaction that a reader can see; returns how many those are."""
    state = {"sum": 0, "seen": 0, "pos": ""}
    balances: dict[Any, int] = {}

    def settle(where: str) -> None:
        state["seen"] += 1
        if len(balances) != accounts or state["sum"] != total:
            raise LakeError(f"{stream} at {where}: {len(balances)} accounts hold {state['sum']}, not {total}")

    def put(ident: Any, value: int | None) -> None:
        state["sum"] -= balances.pop(ident, 0)
        if value is not None:
            balances[ident] = value
            state["sum"] += value

    def each(table: Table, event: Event | None) -> None:
        if event is None:
            for ident, row in table.rows.items():
                put(ident, number(row["balance"]))
            settle("the load")
            return
        if state["pos"] and event.pos != state["pos"]:
            settle(state["pos"])
        state["pos"] = event.pos
        ident = table.ident(event.row)
        put(ident, None if event.op == "D" else number(event.row["balance"]))

    rebuild(feed, stream, each=each)
    settle("the end")
    return state["seen"]


def check_ledger(feed: Feed, db: PgDatabase, stream: str = "public.ledger") -> int:
    """Every transaction of the source's ledger once, none else; returns how many."""
    seen: Counter[str] = Counter()
    read = feed.lake.stream(stream)
    for row in load_rows(feed, read.files):
        seen[row["name"]] += 1
    for event in feed.events(stream, read.position):
        if event.op != "I":
            raise LakeError(f"{stream}: {event.op} at {event.pos}")
        seen[event.row["name"]] += 1
    want = Counter(name for (name,) in db.query("SELECT name FROM ledger"))
    lost, more = want - seen, seen - want
    if lost or more:
        raise LakeError(
            f"lost={sum(lost.values())} dup={sum(more.values())} transactions:"
            f" lost {sorted(lost)[:20]}, too often or never committed {sorted(more)[:20]}"
        )
    return len(want)


def utc(text: str) -> datetime.datetime:
    """A _commit_ts."""
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.UTC)
