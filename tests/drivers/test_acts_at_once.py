"""How many acts the portal asks the site program to have under way at the same time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from drportal.drivers.site_link import Hello, Installed, Reply, SiteLink, Taker
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh_line import SshTarget
from tests.drivers.test_ceph import ORDER


class ToldLink(SiteLink):
    """Answers every act with a receipt that it is done, and keeps what was sent."""

    def __init__(self, program: str, limits: dict[str, Any]) -> None:
        super().__init__(SshTarget("site.example.org", 22, "drportal", "", ()), Installed())
        self.told = Hello("rbd", "16.2.15", program, "0" * 64, "act", {"limits": limits})
        self.sent: list[dict[str, Any]] = []

    async def hello(self) -> Hello:
        return self.told

    async def ask(self, verb: str, fields: dict[str, Any], *, deadline_s: float, images: Taker | None = None) -> Reply:
        self.sent.append(fields)
        return Reply({"ok": True, "receipt": {"state": "done"}}, dt.datetime.now(dt.UTC), 0.1)


@pytest.mark.parametrize(
    ("program", "limits", "asked", "sent"),
    [
        ("1.3", {"acts_at_once": 16}, 16, 16),
        ("1.3", {"acts_at_once": 4}, 16, 4),
        ("1.10", {"acts_at_once": 64}, 32, 32),
        ("1.2", {"acts_at_once": 16}, 16, None),
        ("of our own", {"acts_at_once": 16}, 16, None),
        ("1.3", {}, 16, None),
    ],
)
async def test_the_smaller_of_what_is_asked_and_what_the_site_allows(
    program: str, limits: dict[str, Any], asked: int, sent: int | None
) -> None:
    link = ToldLink(program, limits)
    await SiteProgram(link, acts_at_once=asked).demote(ORDER)
    assert [fields.get("at_once") for fields in link.sent] == [sent]
