"""I2: the portal builds a forced command in one place, which takes a warrant; the site's program in one, which takes an
approval's hash."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.orders import Warrant
from drportal.drivers.rbd_commands import RbdCommands
from drportal.site_program.wire import VERBS

HOUSE = Path(__file__).parents[1] / "drportal"


def places() -> set[tuple[str, str]]:
    """(file, function or module) of each string that is exactly the word, outside the lab, which plays Ceph itself."""
    found = set()
    for path in sorted(HOUSE.rglob("*.py")):
        if "lab" in path.relative_to(HOUSE).parts:
            continue
        tree = ast.parse(path.read_text())
        owner = {
            id(inner): node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for inner in ast.walk(node)
        }  # fmt: skip
        found |= {
            (str(path.relative_to(HOUSE)), owner.get(id(node), "module"))
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.strip() == "--force"
        }
    return found


def test_force_is_built_in_exactly_one_place_of_the_portal() -> None:
    assert places() == {("drivers/rbd_commands.py", "force_promote"), ("site_program/clients.py", "module")}


def test_that_place_demands_an_approval() -> None:
    ref = ImageRef("one", "x")
    with pytest.raises(ValueError, match="approval"):
        Warrant("", "0" * 64)
    with pytest.raises(ValueError, match="approval"):
        Warrant("a1", "not a hash")
    for nothing in (None, "a1", True):
        with pytest.raises(TypeError, match="approval"):
            RbdCommands().force_promote(ref, nothing)  # type: ignore[arg-type]
    assert "--force" in RbdCommands().force_promote(ref, Warrant("a1", "0" * 64))
    with pytest.raises(KeyError):
        RbdCommands().act("force_promote", ref)
    required, _ = VERBS["force-promote"]["approval"]
    assert required is True
