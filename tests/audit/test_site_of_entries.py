"""What is about one site says so: the trail is filtered by it, and read by it where somebody has rights there alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import drportal

ABOUT_A_SITE = ("site.", "receipt.", "quarantine.", "vm.")


def recorded() -> Iterator[tuple[str, str, bool]]:
    """(where, action, whether a site is named) of each call of ``record`` with a word as its action."""
    for path in Path(drportal.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "record":
                words = [one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)]
                for word in words:
                    yield f"{path.name}:{node.lineno}", str(word), any(key.arg == "site" for key in node.keywords)


def test_an_entry_about_a_site_names_it() -> None:
    found = [(where, word, named) for where, word, named in recorded() if word.startswith(ABOUT_A_SITE)]
    assert len(found) > 12
    assert [(where, word) for where, word, named in found if not named] == []
