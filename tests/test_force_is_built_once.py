"""I2: the portal builds a forced command in one place, which takes a warrant; the site's program in one, which takes an
approval's hash."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.orders import Warrant
from drportal.drivers.rbd_commands import RbdCommands
from drportal.site_program.wire import VERBS

CALL = "mirror_image_promote"  # librbd's; its one argument is whether to force
HOUSE = Path(__file__).parents[1] / "drportal"


# Everything outside the lab (which plays Ceph itself) from which a forced promotion could come, and why it may.
ALLOWED = {
    ("drivers/rbd_commands.py", "force_promote", "a string with --force"): "the portal's one builder; takes a Warrant",
    ("site_program/clients.py", "module", "a string with --force"): "the site's command line, of the verb that asks "
    "for an approval",
    (
        "site_program/librbd.py",
        "act",
        "mirror_image_promote with True",
    ): "that verb where the site has python3-rbd",
    ("site_program/librbd.py", "act", "mirror_image_promote with False"): "the orderly promotion beside it",
    (
        "inventory/site_program.py",
        "arguments_of",
        "a string with --force",
    ): "no command: what the forced command of an installed site program says of --force-promote",
    (
        "management/commands/site.py",
        "add_arguments",
        "a string with --force",
    ): "no command: the administrator's option for that",
    (
        "site_program/serve.py",
        "settings_of",
        "a string with --force",
    ): "no command: the option --force-promote of the site program itself, which says who may force there",
}


def places(house: Path = HOUSE) -> list[tuple[str, str, str]]:
    """(file, innermost function or module, what) of each place, once for each time."""
    found = []
    for path in sorted(house.rglob("*.py")):
        if "lab" not in path.relative_to(house).parts:
            found += [
                (str(path.relative_to(house)), owner, what) for owner, what in in_source(ast.parse(path.read_text()))
            ]
    return sorted(found)


def in_source(tree: ast.AST, owner: str = "module") -> Iterator[tuple[str, str]]:
    """Sentences of docstrings are no code: a string that stands alone is passed over."""
    for node in ast.iter_child_nodes(tree):
        inner = node.name if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else owner
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and has_the_word(node.value):
            yield inner, "a string with --force"
        # However it is reached: called, handed on, or by its name.
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == CALL:
            yield inner, f"{CALL} with {', '.join(ast.unparse(part) for part in (*node.args, *node.keywords))}"
            for argument in (*node.args, *node.keywords):
                yield from in_source(argument, inner)
            continue
        if isinstance(node, ast.Attribute) and node.attr == CALL:
            yield inner, f"{CALL}, not called"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and CALL in node.value:
            yield inner, f"{CALL}, by name"
        yield from in_source(node, inner)


def has_the_word(text: str | bytes) -> bool:
    return "--force" in (text.decode(errors="replace") if isinstance(text, bytes) else text)


def test_every_place_that_could_force_is_known_by_name_and_there_is_no_other() -> None:
    assert places() == sorted(ALLOWED), "a new place, or one that is gone"


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("def f(x):\n    return ['rbd', '--force']", "a string with --force"),
        ("def f(x):\n    return 'rbd mirror image promote --force ' + x", "a string with --force"),
        ("def f(x):\n    return f'rbd mirror image promote --force {x}'", "a string with --force"),
        ("def f(x):\n    return b'--force'", "a string with --force"),
        ("def f(x):\n    x.mirror_image_promote(True)", "mirror_image_promote with True"),
        ("def f(x):\n    x.mirror_image_promote(force=1)", "mirror_image_promote with force=1"),
        ("def f(x):\n    call = x.mirror_image_promote\n    call(True)", "mirror_image_promote, not called"),
        ("def f(x):\n    getattr(x, 'mirror_image_promote')(True)", "mirror_image_promote, by name"),
    ],
)
def test_a_new_place_would_be_seen(source: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text(source)
    assert places(tmp_path) == [("new.py", "f", what)]


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
