"""Every command of the command line: what it prints, as text and as JSON, and its exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time

import jsonschema
import pytest
from cli_pipelines import generate, slow
from support import lake


def words(text: str) -> str:
    return " ".join(text.split())


# ---------------------------------------------------------------- about


def test_version(engine):
    text = engine.cmd("version").expect(0).stdout
    assert re.fullmatch(r"sluice \d+\.\d+\.\d+ \(plugin interface \d+\.\d+; .*\)\n", text)
    found = engine.cmd("version", "--json").expect(0).json()
    assert found["version"] in text and found["abi"] == {"major": 0, "minor": found["abi"]["minor"]}
    assert found["ok"] is True and found["exit_code"] == 0 and found["build"]
    assert engine.cmd("--version").expect(0).stdout == text
    # No plugin is loaded for it.
    engine.cmd("version", env={"SLUICE_PLUGIN_DIR": "/no/such/folder"}).expect(0)


@pytest.mark.release
def test_version_is_quick(release_engine):
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        subprocess.run([release_engine.binary, "version"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.010, sorted(seconds)[:5]


def test_help(engine):
    text = engine.cmd("help").expect(0).stdout
    assert engine.cmd("--help").expect(0).stdout == text
    for command in re.findall(r"^  ([a-z]+(?: [a-z]+)?)  ", text.split("Exit codes")[0], re.M):
        shown = engine.cmd("help", *command.split()).expect(0).stdout
        assert shown.startswith(f"usage: sluice {command} [options]"), shown
        assert engine.cmd(*command.split(), "--help").expect(0).stdout == shown
    assert "state reset" in engine.cmd("help", "state").expect(0).stdout
    assert "unknown command" in engine.cmd("help", "nonsense").expect(2).stderr


@pytest.mark.parametrize("args, message, hint", [
    ([], "no command given", "sluice help"),
    (["rum", "x"], "unknown command 'rum'", "did you mean 'sluice run'?"),
    (["run"], "'sluice run' needs FILE…", "sluice help run"),
    (["run", "x", "--limt", "3"], "unknown option '--limt'", "did you mean --limit?"),
    (["run", "x", "--progress", "baar"], "'baar' is none of", "did you mean bar?"),
    (["check", "x", "--once"], "'sluice check' has no option --once", "it belongs to: run"),
    (["run", "x", "--limit", "-1"], "'-1' is not a number", None),
    (["run", "x", "--once", "--follow"], "--once and --follow exclude each other", None),
    (["plugin", "describe"], "no plugin named", "--all"),
    (["plugin", "describe", "generat"], "there is no plugin 'generat'", "did you mean generate?"),
    (["completion", "tcsh"], "no completion for that shell", "bash | zsh | fish"),
    (["plan", "x", "--tables", "a,re:("], "--tables: not a valid expression: Unmatched ( or \\(: re:(", "globs:"),
    (["state"], "'state' needs a command of its own: list, show, reset", "sluice help state"),
])
def test_usage_mistakes(engine, args, message, hint):
    result = engine.cmd(*args).expect(2)
    assert result.stdout == ""
    assert result.stderr.startswith("sluice: error: ") and message in result.stderr
    if hint:
        assert "  hint: " in result.stderr and hint in result.stderr
    told = engine.cmd(*args, "--json").expect(2).json()
    assert told["ok"] is False and told["exit_code"] == 2
    assert message in told["error"]["message"] and told["error"]["status"] == "INVALID"


def test_failpoints_are_refused_when_wrong(engine):
    result = engine.cmd("plugin", "list", env={"SLUICE_FAILPOINTS": "nonsense"}).expect(2)
    assert "SLUICE_FAILPOINTS" in result.stderr


# ---------------------------------------------------------------- plugins


def test_plugin_list(engine, workdir):
    text = engine.cmd("plugin", "list").expect(0).stdout
    assert re.search(r"^generate +source ", text, re.M) and re.search(r"^null +sink ", text, re.M)
    found = engine.cmd("plugin", "list", "--json").expect(0).json()
    kinds = {(c["kind"], c["name"]) for c in found["components"]}
    assert {("source", "generate"), ("sink", "null")} <= kinds
    assert all(f["refusal"] is None and f["version"] for f in found["files"])


def test_refused_plugin_files_are_told(engine, workdir):
    folder = workdir / "mine"
    folder.mkdir(mode=0o755)
    (folder / "broken.so").write_text("not a library\n")
    dirs = ["--plugin-dir", str(engine.plugin_dir), "--plugin-dir", str(folder)]
    text = engine.cmd("plugin", "list", *dirs).expect(0).stdout
    assert re.search(r"^refused: \S*broken\.so: .+", text, re.M) and "generate" in text
    files = engine.cmd("plugin", "list", *dirs, "--json").expect(0).json()["files"]
    assert [f["refusal"] for f in files if f["path"].endswith("broken.so")][0]
    # A pipeline that wants it says so too.
    path = engine.write({**generate(), "sinks": {"out": {"plugin": "broken", "inputs": ["g"]}}})
    result = engine.cmd("validate", str(path), *dirs).expect(2)
    assert "broken.so was refused" in result.stderr


def test_plugin_folder_missing(engine):
    result = engine.cmd("plugin", "list", "--plugin-dir", "/no/such/folder").expect(3)
    assert "/no/such/folder" in result.stderr


def test_plugin_describe(engine):
    text = engine.cmd("plugin", "describe", "generate").expect(0).stdout
    assert text.startswith("generate (source): ") and "\n  rows  integer" in text
    assert engine.cmd("plugin", "describe", "source/generate").expect(0).stdout == text
    engine.cmd("plugin", "describe", "sink/generate").expect(2)
    markdown = engine.cmd("plugin", "describe", "generate", "--format", "markdown").expect(0).stdout
    assert markdown.startswith("### source `generate`\n") and "| `rows` | integer" in markdown
    listed = engine.cmd("plugin", "describe", "generate", "null", "--format", "json").expect(0).json()
    assert [c["name"] for c in listed] == ["generate", "null"]
    wrapped = engine.cmd("plugin", "describe", "generate", "--json").expect(0).json()
    assert wrapped["components"] == listed[:1]


def test_plugin_describe_as_schema(engine):
    schema = engine.cmd("plugin", "describe", "generate", "--format", "jsonschema").expect(0).json()
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    assert check.is_valid({"tables": 3, "rows": 5})
    assert not check.is_valid({"tables": 3, "nonsense": 5})
    assert not check.is_valid({"tables": "many"})


def test_schema(engine):
    schema = engine.cmd("schema").expect(0).json()
    check = jsonschema.Draft202012Validator(schema)
    check.check_schema(schema)
    assert check.is_valid(generate())
    assert not check.is_valid({**generate(), "nonsense": 1})


def test_completion_scripts_work(engine, workdir):
    script = workdir / "bash"
    script.write_text(engine.cmd("completion", "bash").expect(0).stdout)
    subprocess.run(["bash", "-n", str(script)], check=True)

    def complete(*line: str) -> set[str]:
        code = (
            f'source {script}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _sluice;'
            ' printf "%s\\n" "${COMPREPLY[@]}"'
        )
        out = subprocess.run(["bash", "-c", code, "x", *line], check=True, capture_output=True, text=True)
        return set(out.stdout.split())

    assert complete("sluice", "dis") == {"discover"}
    assert complete("sluice", "state", "") == {"list", "show", "reset", "resync"}
    assert "--limit" in complete("sluice", "run", "f.yaml", "--")
    assert "--limit" not in complete("sluice", "validate", "f.yaml", "--")
    assert "--yes" in complete("sluice", "state", "reset", "--")
    assert complete("sluice", "run", "--progress", "") == {"auto", "bar", "log", "json"}


# ---------------------------------------------------------------- validate


def test_validate(engine, workdir):
    good = engine.write(generate(), "good.yaml")
    assert engine.cmd("validate", str(good)).expect(0).stdout == f"{good}: ok\n"
    bad = workdir / "bad.yaml"
    bad.write_text(
        "version: 1\nname: p\nmode: full_load_only\nsuorces: {}\n"
        "sources:\n  g: {plugin: generate, config: {rosw: 3}}\n"
        "sinks:\n  out: {plugin: 'null', inputs: [nobody]}\n"
    )
    result = engine.cmd("validate", str(good), str(bad)).expect(2)
    assert f"{good}: ok" in result.stdout
    for place in ("4:1: error:", "6:34: error:", "8:34: error:"):
        assert f"{bad}:{place}" in result.stderr, result.describe()
    assert "did you mean" in result.stderr and "  hint: " in result.stderr
    assert "(sources.g.config.rosw)" in result.stderr
    told = engine.cmd("validate", str(good), str(bad), "--json").expect(2).json()
    assert [f["ok"] for f in told["files"]] == [True, False]
    places = {(f["line"], f["column"]) for f in told["files"][1]["findings"]}
    assert {(4, 1), (6, 34), (8, 34)} <= places
    missing = engine.cmd("validate", str(workdir / "none.yaml")).expect(2)
    assert "none.yaml" in missing.stderr


def test_validate_strict(engine):
    unwired = generate()
    unwired["sources"]["idle"] = {"plugin": "generate"}
    path = engine.write(unwired)
    result = engine.cmd("validate", str(path)).expect(0)
    assert "warning:" in result.stderr and "1 warning" in result.stdout
    engine.cmd("validate", "--strict", str(path)).expect(2)
    engine.cmd("run", "--strict", str(path)).expect(2)


def test_set(engine):
    path = engine.write(generate())
    out = engine.cmd("discover", str(path), "--set", "sources.g.config.tables=2", "--json").expect(0).json()
    assert len(out["streams"]) == 2
    bad = engine.cmd("discover", str(path), "--set", "sources.g.config.tables=none").expect(2)
    assert "sources.g.config.tables" in bad.stderr


def test_every_command_refuses_a_bad_file(engine):
    path = engine.write({**generate(), "nonsense": 1})
    for command in (["run"], ["check"], ["plan"], ["discover"], ["preview"], ["state", "show"]):
        result = engine.cmd(*command, str(path)).expect(2)
        assert "nonsense" in result.stderr and "1 problem" in result.stderr
        told = engine.cmd(*command, str(path), "--json").expect(2).json()
        assert told["findings"][0]["path"] == "nonsense"


# ---------------------------------------------------------------- looking


def test_check(engine):
    path = engine.write(generate())
    result = engine.cmd("check", str(path)).expect(0)
    assert "g (source generate)" in result.stdout and result.stdout.endswith("0 errors, 0 warnings\n")
    found = engine.cmd("check", str(path), "--json").expect(0).json()
    assert {f["node"] for f in found["findings"]} == {"g", "out"} and found["errors"] == 0


def test_check_tells_of_tables_that_cannot_be_read(engine):
    path = engine.write(generate(denied_table=2))
    result = engine.cmd("check", str(path)).expect(3)
    assert re.search(r"^  error    public\.gen_0002: ", result.stdout, re.M), result.describe()
    assert "1 error, " in result.stdout
    found = engine.cmd("check", str(path), "--json").expect(3).json()
    wrong = [f for f in found["findings"] if f["severity"] == "error"]
    assert [(f["node"], f["subject"], f["key"]) for f in wrong] == [("g", "public.gen_0002", "tables")]
    # One that is not chosen does not matter.
    pipeline = generate(denied_table=2)
    pipeline["sources"]["g"]["tables"] = {"exclude": ["*_0002"]}
    engine.cmd("check", str(engine.write(pipeline))).expect(0)


def test_plan(engine):
    pipeline = generate(null_percent=10)
    path = engine.write(pipeline)
    text = engine.cmd("plan", str(path)).expect(0).stdout
    assert "mode full_load_only" in text and "guarantee: keeps nothing" in text
    assert re.search(r"^public\.gen_0002 +g +out +load +100 ", text, re.M)
    found = engine.cmd("plan", str(path), "--json").expect(0).json()
    assert [s["action"] for s in found["streams"]] == ["load"] * 3
    assert found["nodes"][0]["config"]["null_percent"] == "10"
    assert found["streams"][0]["columns"][0] == {
        "name": "id", "type": "int64", "native": "bigint", "nullable": False, "key": True,
    }
    some = engine.cmd("plan", str(path), "--tables", "*_0001", "--json").expect(0).json()
    assert [s["stream"] for s in some["streams"]] == ["public.gen_0001"]
    assert "bigint" in engine.cmd("plan", str(path), "--columns").expect(0).stdout


def test_plan_warns_of_tables_it_cannot_move(engine):
    path = engine.write(generate(denied_table=2))
    result = engine.cmd("plan", str(path)).expect(0)
    assert re.search(r"^public\.gen_0002 .*refused", result.stdout, re.M), result.describe()
    assert "1 table cannot be moved" in result.stderr


def test_discover(engine):
    pipeline = generate()
    pipeline["sources"]["g"]["tables"] = {"include": ["public.gen_0001"]}
    path = engine.write(pipeline)
    text = engine.cmd("discover", str(path)).expect(0).stdout
    assert re.search(r"^\*  g +public\.gen_0001 ", text, re.M)
    assert re.search(r"^   g +public\.gen_0002 ", text, re.M)
    assert text.endswith("3 tables, 1 chosen (*)\n")
    found = engine.cmd("discover", str(path), "--json").expect(0).json()
    assert [s["chosen"] for s in found["streams"]] == [True, False, False]
    assert "columns" not in found["streams"][0] and found["streams"][0]["key"] == ["id"]
    wide = engine.cmd("discover", str(path), "--columns", "--json", "--tables", "re:.*2").expect(0).json()
    assert [s["name"] for s in wide["streams"]] == ["public.gen_0002"]
    assert wide["streams"][0]["columns"][0]["name"] == "id"
    assert "not null  key" in engine.cmd("discover", str(path), "--columns").expect(0).stdout


def test_odd_names_cannot_reach_the_terminal(engine):
    path = engine.write(generate(names="odd", tables=12))
    for args in (["discover"], ["discover", "--columns"], ["plan"], ["preview"], ["run", "--once"]):
        out = engine.cmd(*args, str(path)).expect(0).output
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", out), args
    names = [s["name"] for s in engine.cmd("discover", str(path), "--json").json()["streams"]]
    assert len(set(names)) == 12


def test_preview(engine):
    pipeline = generate(columns=["numeric(12,2)", "utf8:8", "bool"])
    path = engine.write(pipeline)
    text = engine.cmd("preview", str(path), "--limit", "2").expect(0).stdout
    assert text.count("-> out") == 3
    head = [line.split() for line in text.splitlines()[1:4]]
    assert head[0] == ["id", "c1", "c2", "c3"] and head[1][0] == "1" and head[2][0] == "2"
    rows = engine.cmd("preview", str(path), "--json", "--tables", "*_0003").expect(0).json_lines()
    assert len(rows) == 10 and [r["row"]["id"] for r in rows] == list(range(1, 11))
    assert {r["stream"] for r in rows} == {"public.gen_0003"} and {r["sink"] for r in rows} == {"out"}
    assert isinstance(rows[0]["row"]["c1"], (int, float)) and isinstance(rows[0]["row"]["c3"], bool)
    # Nothing is remembered.
    assert engine.cmd("state", "list").expect(0).stdout == "no pipeline has state here\n"
    empty = engine.cmd("preview", str(path), "--tables", "nothing*")
    assert empty.rc in (0, 2, 3), empty.describe()


# ---------------------------------------------------------------- run


def test_run_summary(engine):
    path = engine.write(generate())
    result = engine.cmd("run", str(path)).expect(0)
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["table", "rows", "time", "rate", "status"]
    assert words(lines[1]).startswith("public.gen_0001 100 ") and lines[1].endswith("complete")
    assert words(lines[4]).startswith("3 tables 300 ") and lines[4].endswith("3 complete")
    assert "stream complete" in result.stderr
    assert engine.cmd("run", str(path), "-q").expect(0).output == ""
    assert "stream complete" not in engine.cmd("run", str(path), "--log-level", "warn").expect(0).stderr
    # Looking logs nothing but warnings.
    assert engine.cmd("preview", str(path)).expect(0).stderr == ""


def test_run_json(engine):
    path = engine.write(generate())
    found = engine.cmd("run", str(path), "--json", "-q").expect(0).json()
    one = found["pipelines"][0]
    assert one["outcome"] == "ok" and one["rows"] == 300 and one["streams_complete"] == 3
    assert one["error"] is None and one["pipeline"] == "gen" and one["load"]
    assert {s["name"]: s["rows"] for s in one["streams"]} == {f"public.gen_000{i}": 100 for i in (1, 2, 3)}


def test_run_progress_json(engine):
    path = engine.write(slow())
    events = engine.cmd("run", str(path), "--progress", "json", "-j", "2").expect(0).json_lines()
    kinds = [e["event"] for e in events]
    assert kinds.count("progress") >= 1 and kinds[-1] == "summary" and kinds.count("summary") == 1
    complete = {e["name"] for e in events if e["event"] == "stream" and e["status"] == "complete"}
    assert len(complete) == 4
    progress = next(e for e in events if e["event"] == "progress")
    assert progress["pipeline"] == "slow" and progress["running"][0]["rows"] > 0
    assert 0 < progress["share"] < 1
    assert events[-1]["outcome"] == "ok" and events[-1]["rows"] == 4 * 40960


def test_log_lines_as_json(engine):
    path = engine.write(generate())
    result = engine.cmd("run", str(path), "--log-format", "json").expect(0)
    assert all(json.loads(line) for line in result.stderr.splitlines())


def test_run_limit_and_tables(engine):
    path = engine.write(generate())
    found = engine.cmd("run", str(path), "--limit", "7", "--tables", "*_0001,*_0003", "--json", "-q").expect(0)
    streams = found.json()["pipelines"][0]["streams"]
    assert {s["name"]: s["rows"] for s in streams} == {"public.gen_0001": 7, "public.gen_0003": 7}


def test_run_limit_hides_no_whole_load(engine, workdir):
    """What a limit cut off never takes the place of the whole load before it."""
    out = workdir / "lake"
    pipeline = generate()
    pipeline["sinks"] = {"out": {"plugin": "file", "inputs": ["g"], "config": {"path": str(out)}}}
    path = engine.write(pipeline)
    engine.cmd("run", str(path)).expect(0)
    before = lake.Lake(lake.FileStore(out))
    whole = {name: before.stream(name).lines() for name in before.names()}
    assert [len(lines) for lines in whole.values()] == [100, 100, 100]
    engine.cmd("run", str(path), "--limit", "3").expect(0)
    after = lake.Lake(lake.FileStore(out))
    assert {name: after.stream(name).lines() for name in after.names()} == whole


def test_run_check_batches(engine):
    engine.cmd("run", str(engine.write(generate())), "--check-batches").expect(0)


def test_some_tables_fail(engine):
    path = engine.write(generate(fail_after_rows=10, fail_kind="stream", fail_table=2, fail_times=100))
    result = engine.cmd("run", str(path)).expect(1)
    assert re.search(r"^public\.gen_0002 .*failed$", result.stdout, re.M), result.describe()
    assert re.search(r"^failed: public\.gen_0002: .+", result.stdout, re.M)
    assert "1 of 3 tables failed" in result.stderr and result.stdout.count("complete") == 2
    found = engine.cmd("run", str(path), "--json", "-q").expect(1).json()["pipelines"][0]
    assert found["outcome"] == "failed" and found["streams_failed"] == 1
    assert [bool(s["message"]) for s in found["streams"]] == [False, True, False]


def test_denied_table(engine):
    path = engine.write(generate(denied_table=3))
    result = engine.cmd("run", str(path)).expect(1)
    assert re.search(r"^failed: public\.gen_0003: .+", result.stdout, re.M), result.describe()


def test_the_whole_run_fails(engine):
    """The made-up failure is one of authentication."""
    path = engine.write(generate(fail_after_rows=10, fail_kind="fatal", fail_times=100))
    result = engine.cmd("run", str(path)).expect(3)
    assert re.search(r"^sluice: error: gen: .+", result.stderr, re.M)
    found = engine.cmd("run", str(path), "--json", "-q").expect(3).json()
    assert found["pipelines"][0]["error"]["message"] and found["error"]["message"]


def test_several_files(engine):
    one = engine.write(generate("one"), "one.yaml")
    two = engine.write(generate("two", fail_after_rows=10, fail_kind="fatal", fail_times=100), "two.yaml")
    three = engine.write(generate("three"), "three.yaml")
    found = engine.cmd("run", str(one), str(two), str(three), "--json", "-q").expect(3).json()
    assert [(p["pipeline"], p["outcome"]) for p in found["pipelines"]] == [
        ("one", "ok"), ("two", "failed"), ("three", "ok"),
    ]
    # One bad file: nothing is run at all.
    bad = engine.write({**generate("bad"), "nonsense": 1}, "bad.yaml")
    assert "table" not in engine.cmd("run", str(one), str(bad)).expect(2).stdout


def test_a_second_process_is_refused(engine):
    path = engine.write(slow(tables=40))
    first = engine.start("run", str(path))
    first.wait_output("load begins")
    result = engine.cmd("run", str(path)).expect(3)
    assert str(first.pid) in result.stderr, result.describe()
    told = engine.cmd("run", str(path), "--json", "-q").expect(3).json()
    assert told["error"]["status"] == "CONFLICT"
    # Looking is allowed meanwhile.
    engine.cmd("state", "show", str(path)).expect(0)
    engine.cmd("plan", str(path)).expect(0)
    engine.cmd("state", "reset", str(path), "--yes").expect(3)
    first.terminate()
    first.wait().expect(0)


# ---------------------------------------------------------------- state


def test_state_of_a_finished_load(engine):
    path = engine.write(generate())
    missing = engine.cmd("state", "show", str(path)).expect(3)
    assert "has no state" in missing.stderr
    engine.cmd("run", str(path), "-q").expect(0)
    text = engine.cmd("state", "show", str(path)).expect(0).stdout
    assert re.search(r"^public\.gen_0001 +g +out +complete +100 ", text, re.M) and "finished" in text
    found = engine.cmd("state", "show", str(path), "--json").expect(0).json()
    assert [s["status"] for s in found["streams"]] == ["complete"] * 3
    assert found["load"]["finished"] and found["runs"][0]["outcome"] == "ok"
    folder = engine.workdir / "state" / "sluice"
    assert engine.cmd("state", "show", "--state", str(folder), "gen").expect(0).stdout == text
    listed = engine.cmd("state", "list", "--json").expect(0).json()["pipelines"]
    assert [p["pipeline"] for p in listed] == ["gen"]
    reset = engine.cmd("state", "reset", str(path)).expect(0)
    assert "no load is unfinished" in reset.stdout


def interrupted(engine):
    """A pipeline of which one table failed and others are complete."""
    pipeline = generate("half", fail_after_rows=10, fail_kind="fatal", fail_table=1, fail_times=100)
    pipeline["parallelism"] = 1
    path = engine.write(pipeline)
    engine.cmd("run", str(path), "-q").expect(3)
    return path


def test_state_reset(engine):
    path = interrupted(engine)
    before = engine.cmd("state", "show", str(path), "--json").expect(0).json()
    assert before["load"]["finished"] is None
    asked = engine.cmd("state", "reset", str(path)).expect(2)
    assert "will read again" in words(asked.stdout) and "say --yes" in asked.stderr
    assert engine.cmd("state", "show", str(path), "--json").json() == before
    unknown = engine.cmd("state", "reset", str(path), "--stream", "nobody", "--yes").expect(2)
    assert "knows no table nobody" in unknown.stderr
    engine.cmd("state", "reset", str(path), "--yes").expect(0)
    after = engine.cmd("plan", str(path), "--json").expect(0).json()
    assert all(s["action"] != "skip" for s in after["streams"])


def test_state_folder_cannot_be_made(engine, workdir):
    (workdir / "state").write_text("in the way")
    result = engine.cmd("run", str(engine.write(generate())))
    assert result.rc in (1, 2, 3) and "state" in result.stderr, result.describe()


# ---------------------------------------------------------------- standard streams


def test_full_disk_on_stdout(engine):
    with open("/dev/full", "w") as full:
        done = subprocess.run([engine.binary, "plugin", "list"], env=engine.env, stdout=full,
                              stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cannot write standard output" in done.stderr


def test_reader_that_goes_away_is_no_error(engine):
    code = f"set -o pipefail; {engine.binary} plugin describe --all --format markdown | head -1 >/dev/null"
    done = subprocess.run(["bash", "-c", code], env=engine.env, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_closed_descriptors(engine):
    path = engine.write(generate())
    code = f'exec "{engine.binary}" run "{path}" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", code], env=engine.env).returncode == 0
    # The state is whole: nothing was written into it by mistake.
    found = engine.cmd("state", "show", str(path), "--json").expect(0).json()
    assert found["load"]["finished"]


def test_no_core_dumps(engine):
    running = engine.start("run", str(engine.write(slow())))
    running.wait_output("load begins")
    with open(f"/proc/{running.pid}/limits") as limits:
        line = next(line for line in limits if line.startswith("Max core file size"))
    assert line.split()[4:6] == ["0", "0"]
    running.wait().expect(0)


def test_nothing_is_written_outside(engine, workdir):
    """A run leaves its state, nothing else; and nobody but the user may read it."""
    before = set(os.listdir(workdir))
    path = engine.write(generate())
    engine.cmd("run", str(path), "-q").expect(0)
    made = set(os.listdir(workdir)) - before
    assert {name for name in made if not name.startswith("run-")} == {"pipeline.yaml", "state"}
    assert os.stat(workdir / "state" / "sluice").st_mode & 0o077 == 0
