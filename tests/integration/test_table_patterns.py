"""Patterns that meet no table: the quietest way to lose one, so that all commands say so."""

from __future__ import annotations

import pytest
from cli_pipelines import generate


def pipeline(**tables):
    made = generate()
    made["sources"]["g"]["tables"] = tables
    return made


def test_mistyped_patterns_are_warned_of(engine):
    path = engine.write(pipeline(
        include=["public.gen_0001", "public.gne_0002", "re:.*_0003"],
        rules=[{"match": "public.gen_000l", "where": "id < 5"}, {"match": "*_0003", "columns": {"exclude": ["c1"]}}],
    ))
    wrong = {"include[1]": "public.gne_0002", "rules[0].match": "public.gen_000l"}
    for command in ("run", "plan"):
        result = engine.cmd(command, str(path)).expect(0)
        for at, pattern in wrong.items():
            line = f"g no table matches the pattern {pattern} of tables.{at}"
            assert result.stderr.count(line) == 1, result.describe()
        assert result.stderr.count("no table matches") == len(wrong), result.describe()
    found = engine.cmd("check", str(path), "--json").expect(0).json()
    assert {one["subject"]: one["what"].split()[-1] for one in found["findings"] if one["severity"] == "warning"} == {
        f"tables.{at}": pattern for at, pattern in wrong.items()}


@pytest.mark.parametrize("tables", [{"include": ["public.nothing"]}, {"exclude": ["*"]}], ids=str)
def test_no_table_at_all(engine, tables):
    path = engine.write(pipeline(**tables))
    result = engine.cmd("run", str(path)).expect(2)
    assert "source g: no table matches `tables`, of 3 that there are" in result.stderr, result.describe()
    assert "source g: source g" not in result.stderr and "hint: sluice discover" in result.stderr
    result = engine.cmd("check", str(path)).expect(3)
    assert "error    tables: no table matches, of 3 that there are" in result.stdout, result.describe()
    assert "no table is chosen" in engine.cmd("plan", str(path)).expect(0).stdout


def test_mistyped_on_the_command_line(engine):
    path = engine.write(generate())
    result = engine.cmd("run", str(path), "--tables", "*_0001,public.gne_0002").expect(0)
    assert result.stderr.count("no chosen table matches --tables public.gne_0002") == 1, result.describe()
    assert "--tables *_0001" not in result.stderr and "1 complete" in result.stdout
    result = engine.cmd("run", str(path), "--tables", "nothing").expect(2)
    assert "gen: no table that the file chooses matches --tables\n  hint: sluice discover" in result.stderr


def test_a_database_without_tables(engine, db, make_pipeline):
    path = engine.write(make_pipeline(db.config(), {"out": {"plugin": "null"}}))
    says = "there is no table that the user may see"
    assert f"source src: {says}" in engine.cmd("run", str(path)).expect(2).stderr
    assert f"error    tables: {says}" in engine.cmd("check", str(path)).expect(3).stdout
