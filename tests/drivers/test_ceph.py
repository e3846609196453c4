from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence

import pytest

from drportal.drivers.base import (
    Answer,
    CephSite,
    Expectation,
    ImageRef,
    Order,
)
from drportal.drivers.ceph import RbdOverSsh
from drportal.drivers.errors import AlreadySo, OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.rbd_commands import command_line
from tests.drivers.ceph_fixtures import ROOT

REF = ImageRef("one", "one-0-0-0")
ORDER = Order(REF, "operation-1", "group", 1, Expectation("1", "2", True))
FILES = {
    "mirror pool info": "01-healthy/b--mirror-pool-info-one.json",
    "mirror pool status": "01-healthy/b--mirror-pool-status-one-verbose.json",
    "ls -l": "01-healthy/b--ls-l-one.json",
    " info one/": "01-healthy/b--info-one-0-0-0.json",
    "mirror image status": "01-healthy/b--mirror-image-status-one-0-0-0.json",
    "journal status": "01-healthy/b--journal-status-pool-one-image-one-0-0-0.json",
    "snap ls": "01-healthy/b--snap-ls-all-one-9-9-0.json",
    " portal status one/": "01-healthy/b--status-one-0-0-0.json",
}


class RecordedShell:
    """A Shell that answers as the recorded site did. ``fail``: exit status and text for commands with a word."""

    def __init__(
        self, clock: str = "2026-11-23T00:51:23+0000\n", fail: dict[str, tuple[int, str]] | None = None
    ) -> None:
        self.clock = clock
        self.fail = fail or {}
        self.sent: list[str] = []
        self.now = dt.datetime(2026, 11, 23, 0, 51, 20, tzinfo=dt.UTC)

    def answer(self, argv: Sequence[str]) -> Answer:
        command = command_line(tuple(argv))
        self.sent.append(command)
        for word, (exit_status, text) in self.fail.items():
            if word in command:
                return Answer(command, "b", exit_status, "", text, self.now, 2.0)
        text = self.clock if command.startswith("date ") else ""
        for word, file in FILES.items():
            if word in command:
                text = (ROOT / file).read_text()
        return Answer(command, "b", 0, text, "", self.now, 2.0)

    async def read(self, argv: Sequence[str], *, deadline_s: float = 10.0) -> Answer:
        await asyncio.sleep(0)
        return self.answer(argv)

    async def act(self, argv: Sequence[str], *, patience_s: float = 90.0) -> Answer:
        return self.answer(argv)

    async def close(self) -> None: ...


async def test_a_pool_is_read_with_its_clock() -> None:
    shell = RecordedShell()
    site: CephSite = RbdOverSsh(shell)
    reading = await site.pool("one")
    assert (reading.mode, reading.site_name, reading.health) == ("image", "site-b", "OK")
    assert [peer.site_name for peer in reading.peers] == ["site-a"]
    assert reading.image_names == ("one-0-0-0", "one-1", "one-2-2-0", "one-9-9-0") == tuple(reading.statuses)
    assert {status.age_s for status in reading.statuses.values()} == {30.0}
    assert reading.site_clock_skew_s == 2.0, "three seconds ahead at the end, two seconds of asking"
    assert len(reading.answers) == len(shell.sent) == 4


async def test_the_age_of_a_status_does_not_depend_on_the_portals_zone_or_clock() -> None:
    reading = await RbdOverSsh(RecordedShell("2026-11-23T00:51:53-0500\n")).pool("one")
    assert {status.age_s for status in reading.statuses.values()} == {60.0}
    assert reading.site_clock_skew_s is not None
    assert reading.site_clock_skew_s > 17_000


async def test_without_a_clock_there_is_no_age() -> None:
    reading = await RbdOverSsh(RecordedShell("what?\n")).pool("one")
    assert reading.site_clock_skew_s is None
    assert {status.age_s for status in reading.statuses.values()} == {None}


async def test_one_failed_part_fails_the_whole_reading() -> None:
    shell = RecordedShell(fail={"ls -l": (110, "rbd: couldn't connect to the cluster!")})
    with pytest.raises(Unreachable):
        await RbdOverSsh(shell).pool("one")
    assert len(shell.sent) == 4


async def test_each_reading_asks_one_question() -> None:
    shell = RecordedShell()
    site = RbdOverSsh(shell, ceph_user="portal")
    assert (await site.info(REF)).primary is False
    assert len((await site.journal(REF)).clients) == 2
    assert (await site.snapshots(REF)).mirror_snapshots[0].complete
    assert (await site.watchers(REF)).watchers
    status, answer = await site.status(REF)
    assert (status.state, status.age_s) == ("up+replaying", 30.0)
    assert "mirror image status" in answer.command
    assert all("--id portal" in command for command in shell.sent if command.startswith("rbd"))


async def test_an_act_sends_exactly_what_the_screen_showed() -> None:
    shell = RecordedShell()
    site = RbdOverSsh(shell)
    await site.demote(ORDER)
    await site.promote(ORDER)
    assert shell.sent == [site.command_for("demote", REF), site.command_for("promote", REF)]
    assert not any("force" in command for command in shell.sent)
    with pytest.raises(KeyError):
        site.command_for("promote --force", REF)


@pytest.mark.parametrize(
    ("end", "error"),
    [
        ((16, "rbd: error promoting image to primary"), Refused),
        ((22, "handle_get_info: image is already primary"), AlreadySo),
        ((124, ""), OutcomeUnknown),
        ((99, "what"), OutcomeUnknown),
    ],
)
async def test_a_failed_act_keeps_its_answer(end: tuple[int, str], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        await RbdOverSsh(RecordedShell(fail={"promote": end})).promote(ORDER)
    assert caught.value.answer.exit_status == end[0]  # type: ignore[attr-defined]


async def test_a_read_of_a_missing_image_is_not_found() -> None:
    shell = RecordedShell(fail={" info ": (2, "rbd: error opening image x: (2) No such file or directory")})
    with pytest.raises(Refused) as caught:
        await RbdOverSsh(shell).info(REF)
    assert caught.value.reason is Reason.NOT_FOUND
