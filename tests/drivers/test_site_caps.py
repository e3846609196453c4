"""The rights are written once; what people read is what is tested on a real cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from drportal.drivers.site_caps import RIGHTS, USERS, caps_command, caps_of, user_names

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", ["site-program.md", "production.md"])
def test_the_documentation_says_the_same(page: str) -> None:
    commands = "\n".join(caps_command(USERS[rights], rights, ["one"]) for rights in RIGHTS)
    text = (DOCS / page).read_text()
    assert commands in text
    assert text.count("ceph auth get-or-create") == len(RIGHTS), "and nothing else"


def test_every_pool_is_named_and_no_other() -> None:
    for rights, profile in (("read", "profile rbd-read-only"), ("act", "profile rbd")):
        caps = caps_of(rights, ["one", "vms"])
        assert caps["osd"] == caps["mgr"] == f"{profile} pool=one, {profile} pool=vms"
    assert "blocklist" not in caps_of("read", ["one"])["mon"]


@pytest.mark.parametrize("own", ["drportal", "drportal-act"])
def test_a_sites_user_gives_the_names_of_both(own: str) -> None:
    assert user_names(own) == {"read": "drportal-read", "act": "drportal-act"}
    assert user_names("") == {"read": "", "act": ""}
