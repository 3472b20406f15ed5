"""Pages and scripts that are made from the program's tables are up to date."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from support.sluice import ROOT

MADE = [
    (["plugin", "describe", "--all", "--format", "markdown"], "docs/reference.md"),
    (["completion", "bash"], "packaging/completion/sluice.bash"),
    (["completion", "zsh"], "packaging/completion/_sluice"),
    (["completion", "fish"], "packaging/completion/sluice.fish"),
    (["help", "--man"], "packaging/man/sluice.1"),
]


@pytest.mark.parametrize("args, path", MADE, ids=[path for _args, path in MADE])
def test_made_files_are_up_to_date(engine, args, path):
    made = engine.cmd(*args).expect(0).stdout
    assert (ROOT / path).read_text() == made, f"make it anew: sluice {' '.join(args)} > {path}"


def test_man_page_is_well_formed():
    groff = shutil.which("groff")
    if groff is None:
        pytest.skip("NOT RUN: groff is not installed")
    done = subprocess.run([groff, "-man", "-Tutf8", "-ww", "-z", ROOT / "packaging/man/sluice.1"],
                          capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr


def test_first_pipeline_of_the_readme(engine):
    """What the README tells a newcomer to do works as it stands there."""
    text = (ROOT / "README.md").read_text()
    first, *parts = re.findall(r"```yaml\n(.*?)```", text, re.S)
    path = engine.write(first, "first.yaml")
    for command in (["validate"], ["preview"], ["run"], ["run"]):
        engine.cmd(*command, str(path)).expect(0)
    made = [p.relative_to(engine.workdir) for p in (engine.workdir / "out").rglob("*.zst")]
    assert len({p.parts[3] for p in made}) == 2, made  # two sets, named after their times
    # The other blocks stand in place of its source and its sink.
    source, *sinks = parts
    whole = re.sub(r"sources:.*?\n\n", lambda _: source + "\n", first, flags=re.S)
    variables = {"PGDATABASE": "d", "PGUSER": "u", "REPLICA_PASSWORD": "p"}
    assert len(sinks) == 2
    for sink in sinks:
        made = engine.write(re.sub(r"sinks:.*", lambda _, sink=sink: sink, whole, flags=re.S), "whole.yaml")
        engine.cmd("validate", "--strict", str(made), env=variables).expect(0)


def test_links_of_the_pages():
    """Every relative link leads somewhere."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    dead = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert not dead, dead
