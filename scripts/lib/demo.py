#!/usr/bin/env python3
"""The demonstration behind scripts/demo: a database, a bucket, two full loads, changes, and an honest check."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import demo_changes
from support import lake, pg, proc, seaweed, sluice
from support.s3 import ACCESS_KEY, REGION, SECRET_KEY, Bucket

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "PostgreSQL_to_S3_department.yaml"
BUCKET, PREFIX = "company-lake", "hr"
TABLES = ["department", "employee", "dept_emp", "salary", "title", "dept_manager", "audit_event"]

_COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def paint(text: str, code: str) -> str:
    return f"\033[{code}m{text}\033[0m" if _COLOUR else text


def heading(text: str) -> None:
    print(f"\n{paint('==>', '36')} {paint(text, '1')}", flush=True)


def table(header: list[str], rows: list[list[str]]) -> None:
    """Columns of numbers to the right, others to the left."""
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]
    numeric = [all(row[at].replace(",", "").isdigit() for row in rows) for at in range(len(header))]

    def line(row: list[str]) -> str:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric)
        ]
        return "    " + "  ".join(cells).rstrip()

    print(paint(line(header), "2"))
    for row in rows:
        print(line(row))


SAMPLE = [
    "CREATE TYPE gender AS ENUM ('F', 'M', 'X')",
    "CREATE TABLE department (dept_no char(4) PRIMARY KEY, dept_name varchar(40) NOT NULL UNIQUE,"
    " budget numeric(14,2), founded date, office point, note text)",
    "INSERT INTO department SELECT 'd' || to_char(i, 'FM000'), n, 250000.10 * i, date '1984-01-01' + 97 * i::int,"
    " point(i * 1.5, -i), CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN E'floor ' || i || E'\\nask for \"Zoë\"' ELSE '' END"
    " FROM unnest(ARRAY['Marketing','Finance','Human Resources','Production','Development','Quality"
    " Management','Sales','Research','Customer Service','Écoles & Ausbildung','開発']) WITH ORDINALITY AS t(n, i)",
    "CREATE TABLE employee (emp_no int PRIMARY KEY, birth_date date NOT NULL, first_name varchar(14) NOT NULL,"
    " last_name varchar(16) NOT NULL, gender gender, hired_at timestamptz NOT NULL, email text,"
    " active boolean NOT NULL DEFAULT true, badge uuid NOT NULL, skills text[], profile jsonb)",
    "INSERT INTO employee SELECT i, date '1952-02-01' + (random() * 14000)::int,"
    " (ARRAY['Georgi','Bezalel','Parto','Chirstian','Kyoichi','Anneke','Zoë','Sumant','José','Łukasz'])[1 + i % 10],"
    " (ARRAY['Facello','Simmel','Bamford','Koblick','Maliniak','Preusig','O''Brien','Piveteau'])[1 + i % 8],"
    " (ARRAY['F','M','X',NULL])[1 + i % 4]::gender,"
    " timestamptz '1985-01-01 08:00:00+00' + random() * interval '35 years',"
    " CASE WHEN i % 9 > 0 THEN 'emp' || i || '@example.org' END, i % 11 > 0, md5(i::text)::uuid,"
    " CASE WHEN i % 5 > 0 THEN ARRAY['sql', 'skill ' || i % 17, NULL] END,"
    " CASE WHEN i % 7 > 0 THEN jsonb_build_object('level', i % 6, 'rate', round((random() * 100)::numeric, 3),"
    " 'langs', jsonb_build_array('en', 'de')) END FROM generate_series(10001, 60000) i",
    "CREATE TABLE dept_emp (emp_no int REFERENCES employee, dept_no char(4) REFERENCES department,"
    " from_date date NOT NULL, to_date date NOT NULL, PRIMARY KEY (emp_no, dept_no))",
    "INSERT INTO dept_emp SELECT i, 'd' || to_char(1 + i % 11, 'FM000'), date '1990-01-01' + i % 9000,"
    " CASE WHEN i % 4 = 0 THEN date '2002-06-15' ELSE 'infinity' END FROM generate_series(10001, 60000) i",
    "CREATE TABLE dept_manager (dept_no char(4) REFERENCES department, emp_no int REFERENCES employee,"
    " from_date date NOT NULL, PRIMARY KEY (dept_no, emp_no))",
    "INSERT INTO dept_manager SELECT 'd' || to_char(i, 'FM000'), 10000 + i * 7, date '2001-01-01' + i"
    " FROM generate_series(1, 11) i",
    "CREATE TABLE salary (emp_no int REFERENCES employee, amount numeric(12,2) NOT NULL, valid daterange NOT NULL,"
    " bonus double precision, PRIMARY KEY (emp_no, valid))",
    "INSERT INTO salary SELECT i, 38000 + round((random() * 90000)::numeric, 2),"
    " daterange(date '1990-01-01' + 365 * y, date '1990-01-01' + 365 * (y + 1)),"
    " CASE WHEN y % 2 = 0 THEN random() * 1e4 END"
    " FROM generate_series(10001, 60000) i, generate_series(0, 4) y",
    "CREATE TABLE title (emp_no int REFERENCES employee, title varchar(50), from_date date, to_date date,"
    " PRIMARY KEY (emp_no, title, from_date))",
    "INSERT INTO title SELECT i, (ARRAY['Engineer','Senior Engineer','Staff','Technique Leader'])[1 + i % 4],"
    " date '1991-01-01' + i % 8000, NULL FROM generate_series(10001, 60000) i",
    "CREATE TABLE audit_event (at timestamp NOT NULL, actor text, took interval, payload bytea)",
    "INSERT INTO audit_event SELECT timestamp '2026-01-01' + i * interval '37 seconds', 'user' || i % 50,"
    " i % 1000 * interval '1 day 00:00:00.001', decode(md5(i::text), 'hex') FROM generate_series(1, 20000) i",
]

# Rows that appear between the two runs.
LATER = [
    "UPDATE department SET budget = budget * 1.07 WHERE dept_no <= 'd003'",
    "INSERT INTO department VALUES ('d012', 'Field Service', 1234567.89, '2026-11-23', '(0,0)', 'new')",
    "DELETE FROM title WHERE emp_no % 10 = 0",
]


def run_engine(env: dict[str, str], number: int) -> float:
    binary = sluice.find_binary("release")
    command = [str(binary), "run", str(EXAMPLE), "--once"]
    shown = f"build/release/bin/sluice run {EXAMPLE.relative_to(ROOT)} --once"
    print(f"    $ {paint(shown, '1')}", flush=True)
    start = time.monotonic()
    done = subprocess.run(command, env=env, cwd=ROOT)
    took = time.monotonic() - start
    if done.returncode != 0:
        raise SystemExit(f"run {number} ended with exit code {done.returncode}")
    return took


def list_sets(bucket: Bucket, runs: dict[str, list[str]]) -> None:
    pages = bucket.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{PREFIX}/")
    objects = [item for page in pages for item in page.get("Contents", [])]
    rows = []
    for name, stamps in runs.items():
        for stamp in stamps:
            folder = f"{PREFIX}/{lake.key_segment(name)}/full/{stamp}/"
            mine = [item for item in objects if item["Key"].startswith(folder)]
            rows.append([f"s3://{BUCKET}/{folder}", str(len(mine)), f"{sum(i['Size'] for i in mine):,}"])
    table(["timestamped set", "files", "bytes"], rows)


def compare(bucket: Bucket, db: pg.PgDatabase) -> bool:
    """Reads the newest sets back by their manifests and compares every row with the source."""
    reader = lake.Lake(lake.S3Store(bucket, PREFIX), "department_to_s3", "lake")
    rows, good = [], True
    for name in TABLES:
        outcome = lake.compare(reader, db, f"public.{name}")
        good = good and outcome.ok
        rows.append([
            f"public.{name}", f"{outcome.expected:,}", f"{outcome.got:,}",
            f"lost={outcome.lost} dup={outcome.dup} diff={outcome.diff}",
            paint("equal", "32") if outcome.ok else paint("NOT EQUAL", "31"),
        ])
        if not outcome.ok:
            print(outcome)
    table(["table", "rows in PostgreSQL", "rows in the bucket", "content", ""], rows)
    return good


def show_rows(bucket: Bucket) -> None:
    reader = lake.Lake(lake.S3Store(bucket, PREFIX), "department_to_s3", "lake")
    for name in ("public.department", "public.employee", "public.salary"):
        stream = reader.stream(name)
        print(f"    {paint(stream.files[0].key, '2')}")
        width = max(60, shutil.get_terminal_size((140, 40)).columns - 7)
        for line in stream.lines()[:3]:
            print(f"      {line if len(line) <= width else line[: width - 1] + '…'}")


def main() -> int:
    root = Path(tempfile.mkdtemp(prefix="sluice-demo-"))
    root.chmod(0o755)
    server: pg.PgServer | None = None
    weed: seaweed.SeaweedServer | None = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        heading("A private PostgreSQL with a sample database")
        server = pg.PgServer.create(root=proc.temp_dir("sluice-demo-pg-"))
        with server.connect() as conn:
            conn.execute("CREATE DATABASE hr")
        db = pg.PgDatabase(server, "hr")
        db.execute("SELECT setseed(0.5)", *SAMPLE, "ANALYZE")
        counts = {name: db.value(f"SELECT count(*) FROM {name}") for name in TABLES}
        print(f"    127.0.0.1:{server.port}/hr: {len(TABLES)} tables, {sum(counts.values()):,} rows")

        heading("A private S3 server")
        weed = seaweed.SeaweedServer.create(root / "s3")
        weed.client().create_bucket(Bucket=BUCKET)
        bucket = Bucket(SimpleNamespace(client=weed.client), BUCKET)  # type: ignore[arg-type]
        print(f"    {weed.endpoint}, bucket {BUCKET}")

        env = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PG", "AWS_", "S3_"))},
            **db.env(),
            "S3_BUCKET": BUCKET,
            "S3_PREFIX": PREFIX,
            "S3_ENDPOINT": weed.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "XDG_STATE_HOME": str(root / "state"),
        }
        heading(f"First full load: {EXAMPLE.relative_to(ROOT)}")
        took = run_engine(env, 1)
        print(f"    {took:.2f} s, {sum(counts.values()) / took:,.0f} rows/s, start and end included")

        heading("Some rows change in the source, then the second full load")
        db.execute(*LATER)
        time.sleep(max(0.0, 1.05 - took))
        run_engine(env, 2)

        heading("Two timestamped sets a table")
        reader = lake.Lake(lake.S3Store(bucket, PREFIX), "department_to_s3", "lake")
        list_sets(bucket, {f"public.{name}": reader.runs(f"public.{name}") for name in TABLES})

        heading("Some rows of the newest set")
        show_rows(bucket)

        heading("Read back by the manifests, compared with PostgreSQL token by token")
        good = compare(bucket, db)

        demo = demo_changes.Demo(db, lake.S3Store(bucket, PREFIX), env, EXAMPLE, root, paint, heading)
        try:
            good = demo_changes.run(demo, TABLES, table) and good
        finally:
            demo.stop()
        print()
        print(paint("    Nothing lost, nothing twice, nothing changed.", "32") if good
              else paint("    The copy differs from the source.", "31"))
        return 0 if good else 1
    finally:
        if weed is not None:
            weed.stop()
        if server is not None:
            server.destroy()
        if os.environ.get("SLUICE_DEMO_KEEP"):
            print(f"    kept: {root}")
        else:
            proc.remove_tree(root)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
