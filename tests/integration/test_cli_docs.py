"""Pages and scripts that are made from the program's tables are up to date."""

from __future__ import annotations

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
