"""An independent reader of the object layout: what a consumer who only knows the document would do.

It lists the manifests, checks that their sequence has no hole, reads every file they name (size,
sha256 and row count must be as written), applies the reader's rule, and compares with PostgreSQL.
Uses boto3 or a folder, json, gzip and zstandard: nothing of the engine.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import zstandard
from psycopg import sql

from .pg import PgDatabase


class LakeError(AssertionError):
    """What is stored breaks the documented layout."""


# ---------------------------------------------------------------- names


def quote_identifier(name: str) -> str:
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def stream_name(*identifiers: str) -> str:
    """public.department, or "My Schema"."a.b"."""
    return ".".join(quote_identifier(name) for name in identifiers)


def key_segment(name: str) -> str:
    """A stream name as one segment of an object key."""
    if name in (".", ".."):
        return name.replace(".", "%2E")
    parts = []
    for char in name:
        raw = char.encode()
        if re.fullmatch(r"[A-Za-z0-9_.-]", char):
            parts.append(char)
        else:
            parts.append("".join(f"%{byte:02X}" for byte in raw))
    if sum(map(len, parts)) <= 200:
        return "".join(parts)
    out = ""
    for part in parts:
        if len(out) + len(part) > 183:
            break
        out += part
    return out + "~" + hashlib.sha256(name.encode()).hexdigest()[:16]


# ---------------------------------------------------------------- JSON by tokens


class Number(str):
    """A JSON number as it is written: 1.10 is not 1.1."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Pairs(tuple):
    """A JSON object as it is written: order and duplicates kept."""

    __slots__ = ()


def _no_constant(token: str) -> Any:
    raise LakeError(f"not JSON: {token}")


_DECODER = json.JSONDecoder(
    parse_float=Number,
    parse_int=Number,
    parse_constant=_no_constant,
    object_pairs_hook=Pairs,
)


def parse_tokens(text: str) -> Any:
    """JSON with numbers as their tokens and objects as pairs; compare the outcome with ==."""
    return _typed(_DECODER.decode(text))


def _typed(value: Any) -> Any:
    """Marks numbers, so that "1" and 1 differ although Number is a str."""
    if isinstance(value, Number):
        return ("#", str(value))
    if isinstance(value, Pairs):
        return Pairs((key, _typed(item)) for key, item in value)
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """Tokens as ordinary Python values for assertions: numbers stay str tokens in Number."""
    if isinstance(value, Pairs):
        return {key: plain(item) for key, item in value}
    if isinstance(value, tuple) and len(value) == 2 and value[0] == "#":
        return Number(value[1])
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def _canonical(text: str) -> str:
    """A hashable form in which two texts are equal exactly when their tokens are."""
    return repr(parse_tokens(text))


# ---------------------------------------------------------------- CSV as COPY prints it

_CSV_FIELD = re.compile(r'"((?:[^"]|"")*)"|([^",\n]*)')


def parse_csv(text: str) -> list[list[str | None]]:
    """Rows of a CSV: an empty unquoted field is None, an empty quoted one the empty string."""
    rows: list[list[str | None]] = []
    at, size = 0, len(text)
    while at < size:
        row: list[str | None] = []
        while True:
            match = _CSV_FIELD.match(text, at)
            if match is None:
                raise LakeError(f"CSV: bad field at byte {at}: {text[at : at + 40]!r}")
            quoted, bare = match.groups()
            row.append(quoted.replace('""', '"') if quoted is not None else (bare or None))
            at = match.end()
            if at < size and text[at] == ",":
                at += 1
                continue
            if at >= size or text[at] != "\n":
                raise LakeError(f"CSV: row {len(rows) + 1} does not end in a newline")
            at += 1
            break
        rows.append(row)
    return rows


# ---------------------------------------------------------------- where things are


class Store(Protocol):
    def keys(self, prefix: str) -> list[str]: ...

    def get(self, key: str) -> bytes: ...


class S3Store:
    """Objects of a bucket under a prefix; see s3.Bucket."""

    def __init__(self, bucket, prefix: str = ""):
        self.bucket = bucket
        self.prefix = prefix.strip("/") + "/" if prefix.strip("/") else ""

    def keys(self, prefix: str = "") -> list[str]:
        return [key[len(self.prefix) :] for key in self.bucket.keys(self.prefix + prefix)]

    def get(self, key: str) -> bytes:
        return self.bucket.get(self.prefix + key)


class FileStore:
    """The same in a folder."""

    def __init__(self, root: Path | str):
        self.root = Path(root)

    def keys(self, prefix: str = "") -> list[str]:
        folder = self.root / prefix.rpartition("/")[0]
        if not folder.exists():
            return []
        found = (path.relative_to(self.root).as_posix() for path in folder.rglob("*") if path.is_file())
        return sorted(key for key in found if key.startswith(prefix))

    def get(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


def fetch(store: Store, keys: list[str]) -> dict[str, bytes]:
    """Many objects at once: what takes time is the way there."""
    if len(keys) < 8 or not isinstance(store, S3Store):
        return {key: store.get(key) for key in keys}
    store.get(keys[0])  # makes the client before threads share it
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(keys, pool.map(store.get, keys), strict=True))


def decompress(key: str, data: bytes) -> bytes:
    """By what the data says; the name must agree."""
    if data[:4] == b"\x28\xb5\x2f\xfd":
        if not key.endswith(".zst"):
            raise LakeError(f"{key}: zstd without .zst")
        out = b""
        reader = zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True)
        out = reader.read()
        return out
    if data[:2] == b"\x1f\x8b":
        if not key.endswith(".gz"):
            raise LakeError(f"{key}: gzip without .gz")
        return gzip.decompress(data)
    if key.endswith((".zst", ".gz")):
        raise LakeError(f"{key}: not compressed")
    return data


# ---------------------------------------------------------------- the reader


@dataclass
class LakeFile:
    """A file a manifest names, read and verified."""

    key: str
    stream: str
    schema_id: int
    rows: int
    kind: str
    run: str | None
    text: str
    columns: list[dict[str, Any]]

    @property
    def is_csv(self) -> bool:
        return ".csv" in self.key.rsplit("/", 1)[-1]

    def lines(self) -> list[str]:
        """JSON lines, without their newline."""
        return self.text.split("\n")[:-1] if self.text else []


@dataclass
class Stream:
    """What counts of one stream: the files of its newest complete run, and its changes."""

    name: str
    run: str | None = None
    complete_rows: int = 0
    position: str | None = None
    columns: list[dict[str, Any]] = field(default_factory=list)
    files: list[LakeFile] = field(default_factory=list)
    changes: list[LakeFile] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)

    @property
    def key(self) -> list[str]:
        return [column["name"] for column in self.columns if column.get("key")]

    def lines(self) -> list[str]:
        return [line for file in self.files for line in file.lines()]

    def rows(self) -> list[dict[str, Any]]:
        """JSON lines as dicts, numbers as their tokens."""
        return [plain(parse_tokens(line)) for line in self.lines()]

    def csv_rows(self) -> list[dict[str, str | None]]:
        out: list[dict[str, str | None]] = []
        for file in self.files:
            header, *rows = parse_csv(file.text)
            out += [dict(zip(header, row, strict=True)) for row in rows]  # type: ignore[arg-type]
        return out


class Lake:
    """Everything under one prefix. Raises LakeError when the stored state breaks the layout."""

    def __init__(self, store: Store, pipeline: str | None = None, sink: str | None = None):
        self.store = store
        self.manifests: list[dict[str, Any]] = []
        self.all_keys = store.keys("")
        wanted = re.compile(r"_sluice/([^/]+)/([^/]+)/commits/(\d{20})\.json")
        by_sink: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
        for key in self.all_keys:
            match = wanted.fullmatch(key)
            if match and pipeline in (None, match[1]) and sink in (None, match[2]):
                by_sink[match[1], match[2]].append((int(match[3]), key))
        for (pipe, node), entries in sorted(by_sink.items()):
            self._read_sequence(pipe, node, sorted(entries))
        self._check_names()

    def _read_sequence(self, pipeline: str, sink: str, entries: list[tuple[int, str]]) -> None:
        texts = fetch(self.store, [key for _seq, key in entries])
        for expected, (seq, key) in enumerate(entries, start=1):
            if seq != expected:
                raise LakeError(f"{key}: hole in the manifests, {expected} is missing")
            body = json.loads(texts[key])
            for name, value in (("format", 1), ("seq", seq), ("pipeline", pipeline), ("sink", sink)):
                if body.get(name) != value:
                    raise LakeError(f"{key}: {name} is {body.get(name)!r}, expected {value!r}")
            if body["kind"] not in ("full", "cdc", "complete"):
                raise LakeError(f"{key}: kind {body['kind']!r}")
            if body["kind"] == "complete" and body.get("files"):
                raise LakeError(f"{key}: a complete manifest names files")
            self.manifests.append(body)

    def _check_names(self) -> None:
        seen: dict[str, tuple] = {}
        present = set(self.all_keys)
        if any(file["key"] not in present for manifest in self.manifests for file in manifest.get("files", [])):
            # Files that came after the listing, before a manifest that came during it.
            self.all_keys = self.store.keys("")
            present = set(self.all_keys)
        for manifest in self.manifests:
            for file in manifest.get("files", []):
                where = (manifest["pipeline"], manifest["sink"], manifest["seq"])
                if file["key"] in seen:
                    raise LakeError(f"{file['key']} is named twice: {seen[file['key']]} and {where}")
                if file["key"] not in present:
                    raise LakeError(f"{file['key']} is named by {where} but is not there")
                seen[file["key"]] = where
        self.named = set(seen)

    def orphans(self) -> list[str]:
        """Data objects that no manifest names: allowed, and counted nowhere."""
        return [key for key in self.all_keys if key not in self.named and not key.startswith("_sluice/")]

    def names(self) -> list[str]:
        """Streams that have something that counts."""
        found = set()
        for manifest in self.manifests:
            if manifest["kind"] == "complete":
                found.update(entry["name"] for entry in manifest["streams"])
            elif manifest["kind"] == "cdc":
                found.update(file["stream"] for file in manifest["files"])
        return sorted(found)

    def runs(self, name: str) -> list[str]:
        """Complete runs of a stream, oldest first."""
        return [
            entry["run"]
            for manifest in self.manifests
            if manifest["kind"] == "complete"
            for entry in manifest["streams"]
            if entry["name"] == name
        ]

    def stream(self, name: str, run: str | None = None) -> Stream:
        """The reader's rule: the newest complete run (or the given one), then the changes."""
        out = Stream(name, runs=self.runs(name))
        if run is not None or out.runs:
            out.run = run or out.runs[-1]
            self._load_run(out)
        for manifest in self.manifests:
            if manifest["kind"] == "cdc":
                out.changes += self._files(manifest, name)
        return out

    def _load_run(self, out: Stream) -> None:
        for manifest in self.manifests:
            for entry in manifest.get("streams", []):
                if entry["name"] != out.name or manifest.get("run", entry.get("run")) != out.run:
                    continue
                if manifest["kind"] == "complete":
                    out.complete_rows = int(entry["rows"])
                    out.position = entry.get("position")
                if entry.get("columns"):
                    out.columns = entry["columns"]
            if manifest["kind"] == "full" and manifest.get("run") == out.run:
                out.files += self._files(manifest, out.name)
        total = sum(file.rows for file in out.files)
        if total != out.complete_rows:
            raise LakeError(
                f"{out.name} run {out.run}: files hold {total} rows, complete says {out.complete_rows}"
            )

    def _files(self, manifest: dict[str, Any], name: str) -> list[LakeFile]:
        columns = {
            entry.get("schema_id"): entry.get("columns", [])
            for entry in manifest.get("streams", [])
            if entry["name"] == name
        }
        return [
            self.read_file(manifest, file, columns.get(file["schema_id"], []), self.store.get(file["key"]))
            for file in manifest.get("files", [])
            if file["stream"] == name
        ]

    def read_file(self, manifest: dict, file: dict, columns: list[dict], data: bytes) -> LakeFile:
        """A file as the manifest says it is, or an error."""
        key = file["key"]
        if len(data) != file["bytes"]:
            raise LakeError(f"{key}: {len(data)} bytes stored, manifest says {file['bytes']}")
        digest = hashlib.sha256(data).hexdigest()
        if digest != file["sha256"]:
            raise LakeError(f"{key}: sha256 {digest}, manifest says {file['sha256']}")
        text = decompress(key, data).decode("utf-8")
        if text and not text.endswith("\n"):
            raise LakeError(f"{key}: the last row does not end in a newline")
        out = LakeFile(
            key, file["stream"], file["schema_id"], int(file["rows"]), manifest["kind"],
            manifest.get("run"), text, columns,
        )
        counted = len(parse_csv(text)) - 1 if out.is_csv else text.count("\n")
        if counted != out.rows:
            raise LakeError(f"{key}: {counted} rows stored, manifest says {out.rows}")
        return out


# ---------------------------------------------------------------- the comparer


@dataclass
class Comparison:
    """lost: in the source only. dup: more often than in the source. diff: other content."""

    stream: str
    expected: int
    got: int
    lost: int = 0
    dup: int = 0
    diff: int = 0
    samples: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not (self.lost or self.dup or self.diff)

    def __str__(self) -> str:
        head = (
            f"{self.stream}: rows={self.expected} read={self.got}"
            f" lost={self.lost} dup={self.dup} diff={self.diff}"
        )
        return "\n  ".join([head, *self.samples[:6]])


def _key_of(text: str, key: list[str]) -> str:
    fields = dict(parse_tokens(text))
    return repr([fields.get(name) for name in key])


def compare_lines(stream: str, expected: Iterable[str], got: Iterable[str], key: list[str]) -> Comparison:
    """Compares two multisets of JSON rows: first as text, then what differs by tokens and key."""
    want, have = Counter(expected), Counter(got)
    out = Comparison(stream, sum(want.values()), sum(have.values()))
    left, right = want - have, have - want
    if left or right:
        by_left, by_right = Counter(), Counter()
        for source, target in ((left, by_left), (right, by_right)):
            for text, count in source.items():
                target[_canonical(text)] += count
        texts = {_canonical(text): text for text in [*left, *right]}
        left = Counter({texts[item]: n for item, n in (by_left - by_right).items()})
        right = Counter({texts[item]: n for item, n in (by_right - by_left).items()})
    known = {_canonical(text) for text in want} if right and len(right) < 10000 else set()
    surplus: Counter[str] = Counter()
    for text, count in right.items():
        if text in want or _canonical(text) in known:
            out.dup += count
            out.samples.append(f"dup x{count}: {text[:300]}")
        else:
            surplus[text] += count
    if key:
        missing = defaultdict(list)
        for text, count in left.items():
            missing[_key_of(text, key)] += [text] * count
        for text, count in surplus.items():
            ident = _key_of(text, key)
            for _ in range(count):
                out.diff += 1
                was = missing[ident].pop() if missing[ident] else None
                out.samples.append(f"diff: source {str(was)[:300]}\n          lake {text[:300]}")
        out.lost = sum(map(len, missing.values()))
        out.samples += [f"lost: {text[:300]}" for texts in missing.values() for text in texts[:3]]
    else:
        out.diff = sum(surplus.values())
        out.lost = max(0, sum(left.values()) - out.diff)
        out.samples += [f"other: {text[:300]}" for text in list(surplus)[:3]]
        out.samples += [f"missing: {text[:300]}" for text in list(left)[:3]]
    return out


def source_select(db: PgDatabase, relation: str, where: str = "", binary: str = "base64") -> str:
    """A SELECT of the relation's columns with bytea as the sinks write it."""
    columns = db.query(
        "SELECT attname, atttypid = 'bytea'::regtype FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        [relation],
    )
    parts = []
    for name, is_binary in columns:
        ident = sql.Identifier(name).as_string(None)
        if is_binary and binary == "base64":
            parts.append(f"translate(encode({ident}, 'base64'), E'\\n', '') AS {ident}")
        else:
            parts.append(ident)
    return f"SELECT {', '.join(parts)} FROM {relation}" + (f" WHERE {where}" if where else "")


def source_lines(db: PgDatabase, select: str) -> Iterator[str]:
    """row_to_json of every row of a SELECT, line breaks of json values as spaces."""
    with db.connect(autocommit=False) as conn, conn.cursor(name="source") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT row_to_json(_sluice_row)::text FROM ({select}) _sluice_row")  # type: ignore[arg-type]
        for (text,) in cursor:
            yield text.replace("\n", " ")


def source_csv(db: PgDatabase, select: str) -> list[list[str | None]]:
    """The rows of a SELECT as COPY … (FORMAT csv, HEADER) prints them, parsed."""
    with db.connect() as conn, conn.cursor() as cursor:
        statement = f"COPY ({select}) TO STDOUT (FORMAT csv, HEADER)"
        with cursor.copy(statement) as copy:  # type: ignore[arg-type]
            return parse_csv(b"".join(bytes(part) for part in copy).decode())


def compare(lake: Lake, db: PgDatabase, relation: str, stream: str | None = None, where: str = "",
            select: str | None = None, run: str | None = None) -> Comparison:
    """Compares a stream's load with a table. relation is SQL; stream its name in the lake."""
    read = lake.stream(stream or relation, run)
    if read.run is None:
        raise LakeError(f"{read.name}: no complete run; streams: {lake.names()}")
    as_csv = any(file.is_csv for file in read.files)
    # JSON lines carry binary values as base64, CSV as COPY prints them.
    select = select or source_select(db, relation, where, "hex" if as_csv else "base64")
    if as_csv:
        header, *rows = source_csv(db, select)
        names = [str(name) for name in header]
        for file in read.files:
            if parse_csv(file.text)[0] != header:
                raise LakeError(f"{file.key}: header {parse_csv(file.text)[0]}, expected {header}")
        want = (json.dumps(dict(zip(names, row, strict=True))) for row in rows)
        got = (json.dumps(row) for row in read.csv_rows())
        return compare_lines(read.name, want, got, read.key)
    return compare_lines(read.name, source_lines(db, select), read.lines(), read.key)


def compare_all(lake: Lake, db: PgDatabase, relations: dict[str, str] | list[str]) -> str:
    """Compares several; raises with the details unless all agree; returns the one line."""
    pairs = relations if isinstance(relations, dict) else {name: name for name in relations}
    outcomes = [compare(lake, db, relation, stream) for stream, relation in pairs.items()]
    bad = [str(outcome) for outcome in outcomes if not outcome.ok]
    total = [sum(getattr(outcome, name) for outcome in outcomes) for name in ("lost", "dup", "diff")]
    line = "lost=%d dup=%d diff=%d" % tuple(total)
    if bad:
        raise LakeError(line + "\n" + "\n".join(bad))
    return line
