"""A name in the trail is one person's: no account may bear another one's, or a part of the portal's."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError

from drportal.audit.record import NO_PERSONS
from tests.conftest import Person


@pytest.mark.parametrize("name", [*sorted(NO_PERSONS), "Portal", "cli:bob", "olga (cli:x)", "", "VIEWER"])
def test_a_name_that_is_not_one_persons_alone_is_refused(
    viewer: Person, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRPORTAL_PERSON_PASSWORD", "correct horse battery staple")
    with pytest.raises(CommandError, match="Nothing was changed"):
        call_command("person", "add", name, "--role", "manager")
    assert User.objects.count() == 1


def test_every_part_of_the_portal_that_acts_is_reserved() -> None:
    """Found in the code: ``actor="…"``, ``ACTOR = "…"`` and a Fact's third word."""
    text = "\n".join(path.read_text() for path in (settings.BASE_DIR / "drportal").rglob("*.py"))
    acting = set(re.findall(r'\b(?:actor|ACTOR|NOBODY) ?= ?"(\w+)"', text))
    acting |= set(re.findall(r'Fact\([^,]+, [^,]+, "(\w+)"', text))
    assert {"portal", "executor", "lab", "nobody", "inventory"} <= acting
    assert acting <= NO_PERSONS
