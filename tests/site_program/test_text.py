"""The one file: old Pythons can read it, nothing in it needs what a site may not have."""

from __future__ import annotations

import ast
import collections
import subprocess
import sys
from pathlib import Path

import pytest

from drportal.site_program.assemble import installer_text, program_text

BINDINGS = {"rados", "rbd"}


TEXTS = pytest.mark.parametrize("text", [program_text(), installer_text()], ids=["program", "installer"])


@TEXTS
def test_it_is_python_3_6(text: str) -> None:
    ast.parse(text, feature_version=(3, 6))


@TEXTS
def test_it_uses_nothing_of_the_standard_library_that_came_after_3_6(tmp_path: Path, text: str) -> None:
    file = tmp_path / "program.py"
    file.write_text(text)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("vermin")), "--target=3.6-", "--violations", "--no-tips", str(file)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "Minimum required versions: 3." in done.stdout


def test_it_imports_the_standard_library_and_cephs_bindings_only() -> None:
    imported = set()
    for node in ast.walk(ast.parse(program_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).partition(".")[0])
    assert imported - BINDINGS <= sys.stdlib_module_names
    assert imported >= BINDINGS


def test_no_name_of_one_part_hides_that_of_another() -> None:
    names: collections.Counter[str] = collections.Counter()
    for node in ast.parse(program_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names[node.name] += 1
        if isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert [name for name, count in names.items() if count > 1] == []


def test_it_starts_clients_from_argument_lists_only() -> None:
    text = program_text()
    assert "shell=True" not in text
    assert "os.system" not in text
    assert "killpg" not in text
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
    kills = [node for node in calls if node.attr in ("kill", "terminate", "send_signal")]
    assert len(kills) == 1, "reads that do not end are the only thing that it ever kills"


def test_what_changes_something_never_goes_the_way_of_what_reads() -> None:
    """``read`` kills what does not end in time, and ``_argv`` gives it limits: neither is for these words."""
    changing = {"add", "rm", "demote", "promote", "resync", "export-diff", "set", "remove", "enable", "disable"}
    reading = ("read", "read_json", "_told", "_monitor")
    for node in ast.walk(ast.parse(program_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in reading:
            names = {word.value for word in ast.walk(node) if isinstance(word, ast.Constant)}
            assert not names & changing, ast.unparse(node)
            assert {"ls", "dump"} & set(" ".join(map(str, names)).split()) or "osd" not in ast.unparse(node)
