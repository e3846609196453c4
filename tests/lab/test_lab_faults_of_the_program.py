"""The site program in the embedded lab: cut off, killed or hung at each of seven points of each verb. Never a second
effect, by the lab's own count, and the outcome is found."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drportal.drivers.site_link import AnswerLost, SiteLink, sent
from drportal.lab.embedded.library import LabLibrary
from drportal.lab.embedded.server import EmbeddedLab, LabOptions
from drportal.lab.embedded.shell import CommandFault
from drportal.site_program import acts as acts_module
from drportal.site_program.assemble import program_text
from drportal.site_program.wire import Json
from tests.lab.conftest import MIB
from tests.lab.test_lab_site_program import target
from tests.site_program.running import POINTS
from tests.site_program.test_faults import CERTAIN
from tests.site_program.worlds import SALVAGES, VERBS

DURING_S = 0.4
OF_ADDRESSES = ("fence", "unfence", "free")


# What the lab's command is called where it is not the verb.
_COMMANDS = {
    "force-promote": "promote --force",
    "mirror-snapshot": "mirror image snapshot",
    "salvage-export": "export",
    "salvage-copy": "copy",
}


class Killed(BaseException):
    """What a killed process's thread does next: nothing."""


class Fault:
    """Strikes once, at ``point`` of ``verb``, in the thread that acts there."""

    def __init__(self, lab: EmbeddedLab, how: str, point: str) -> None:
        self.lab, self.how, self.point = lab, how, point
        self.loop = asyncio.get_running_loop()
        self.libraries: list[LabLibrary] = []
        self.verb = ""
        self.struck, self.go_on = threading.Event(), threading.Event()

    def arm(self, verb: str) -> None:
        self.verb = verb
        self.struck.clear()
        self.go_on.clear()

    def at_point(self, point: str, verb: str) -> None:
        if (point, verb) != (self.point, self.verb) or self.struck.is_set():
            return
        if point == "during-act":
            self.struck.set()
            self.loop.call_soon_threadsafe(self.loop.call_later, DURING_S / 4, self._during)
            return
        if self.how != "hung":
            self._in_loop(self.lab.sites["a"].ssh.door.cut)
        self.struck.set()
        if self.how == "killed":
            raise Killed
        if self.how == "hung":
            assert self.go_on.wait(60)

    def _in_loop(self, deed: Callable[[], None]) -> None:
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (deed(), done.set()))
        assert done.wait(30)

    def _during(self) -> None:
        """While the lab's command goes on. A library's acts are in the process that is killed: they end with it."""
        if self.how != "hung":
            self.lab.sites["a"].ssh.door.cut()
        if self.how == "killed":
            for library in self.libraries:
                library.end()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[EmbeddedLab]:
    running = EmbeddedLab(tmp_path, LabOptions(vms=12, mode="mixed", speed=30.0))
    running.world.timing = replace(running.world.timing, schedule_s=1e9)  # a snapshot of its own tells nothing of ours
    await running.start()
    for site in running.sites.values():
        site.nebula.cut_power()
    yield running
    await running.stop()


async def image_of(link: SiteLink, name: str) -> Json:
    parts = ["info", "snapshots"]
    reply = await link.ask("observe-image", {"pool": "one", "image": name, "parts": parts}, deadline_s=20)
    return dict(reply.content["image"])


async def ended(link: SiteLink, op: str) -> Json:
    """As the portal does: whatever became of the connection, ask for the receipt until nothing goes on."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(AnswerLost):
                reply = await link.ask("receipt", {"op": op, "bar": True, "wait_s": 20}, deadline_s=40)
                if reply.content["ok"] and reply.content["receipt"]["state"] != "begun":
                    return dict(reply.content["receipt"])
            await asyncio.sleep(0.1)


def act(verb: str) -> Json:
    return {"op": str(uuid.uuid4()), "group": "group-1", "fence": 1, "shown": verb, "pool": "one"}


async def prepared(lab: EmbeddedLab, link: SiteLink, verb: str, names: list[str]) -> Json:
    """An act that may be done now."""
    fields = act(verb)
    if verb in ("fence", "unfence"):
        fields["addresses"] = ["10.9.0.1:0/7" if verb == "fence" else "10.9.0.2:0/7"]
        if verb == "unfence":
            lab.world.blocklist("a", fields["addresses"][0], 600)
        return fields | ({"expire_s": 600} if verb == "fence" else {})
    name = names.pop(0) if verb != "free" else held_by_a_daemon(lab)
    while verb == "mirror-snapshot" and lab.world.pair(name).mode != "snapshot":
        name = names.pop(0)
    seen = await image_of(link, name)
    expect = {
        "image_id": seen["info"]["id"],
        "global_id": seen["info"]["mirroring"]["global_id"],
        "primary": seen["info"]["mirroring"]["primary"],
    }
    fields |= {"image": name, "expect": expect}
    if verb in ("promote", "force-promote", "resync"):
        demotion = act("demote") | {"image": name, "expect": expect | {"watchers": "any"}}
        assert (await link.ask("demote", demotion, deadline_s=20)).content["receipt"]["state"] == "done"
        expect = fields["expect"] = expect | {"primary": False}
    if verb == "promote" and lab.world.pair(name).mode == "snapshot":
        newest = max((await image_of(link, name))["snapshots"], key=lambda one: int(one["id"]))
        about = {word: newest["namespace"][word] for word in ("state", "complete")}
        expect["newest_snapshot"] = {"snap_id": newest["id"], **about}
    if verb in ("demote", "resync"):
        expect["watchers"] = "any"
    if verb == "free":
        daemon = lab.world.daemon_watcher("a", "a")
        assert daemon is not None
        return fields | {"addresses": [daemon.address], "expire_s": 600}
    return fields | ({"approval": "a" * 64} if verb == "force-promote" else {})


def held_by_a_daemon(lab: EmbeddedLab) -> str:
    """A copy at a that its mirror daemon has open: the other image is primary at b."""
    name = f"one-{7000 + len(lab.world.pairs)}"
    return lab.world.settled_pair("b", name, 16 * MIB, "snapshot").name


def effects(lab: EmbeddedLab, verb: str, fields: Json) -> list[str]:
    """What the lab carried out on that image, or that address."""
    shell = lab.sites["a"].shell
    about = fields["addresses"][0] if verb in OF_ADDRESSES else f"one/{fields['image']}"
    done = shell.others if verb in (*OF_ADDRESSES, *SALVAGES) else shell.acts
    return [one.command for one in done if about in one.command.split() and one.exit_code == 0]


@pytest.mark.parametrize("how", ["cut", "killed", "hung"])
@pytest.mark.parametrize("point", POINTS)
async def test_no_second_effect_and_the_outcome_is_found(
    lab: EmbeddedLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, how: str
) -> None:
    fault = Fault(lab, how, point)
    before = LabLibrary.__init__

    def noted(self: LabLibrary, *words: Any) -> None:
        before(self, *words)
        fault.libraries.append(self)

    monkeypatch.setattr(LabLibrary, "__init__", noted)
    monkeypatch.setattr(acts_module, "at_point", fault.at_point)
    (tmp_path / "salvage").mkdir()
    arguments = ("--rights", "act", "--salvage", str(tmp_path / "salvage"))
    link = SiteLink(target(lab, "a"), sent(program_text(), arguments))
    names, wrong = sorted(pair.name for pair in lab.world.pairs_at("a")), []
    for verb in VERBS:
        fields = await prepared(lab, link, verb, names)
        already = len(effects(lab, verb, fields))
        if point == "during-act":
            arm_late(lab, fault, monkeypatch, "blocklist" if verb in OF_ADDRESSES else _COMMANDS.get(verb, verb))
        fault.arm(verb)
        asked = asyncio.create_task(link.ask(verb, fields, deadline_s=30))
        assert await asyncio.to_thread(fault.struck.wait, 30), f"{verb} did not come to {point}"
        if how == "hung" and point != "during-act":
            other = SiteLink(target(lab, "a"), sent(program_text(), arguments))
            first = (await other.ask("receipt", {"op": fields["op"], "bar": True}, deadline_s=20)).content["receipt"]
            assert first["how"] == "barred" if point == "before-intent" else first["state"] in ("begun", "done"), verb
            fault.go_on.set()
            await other.close()
        with contextlib.suppress(AnswerLost):
            await asked
        fault.verb = ""
        if how == "killed" and point == "before-intent":
            again = (await link.ask(verb, fields, deadline_s=30)).content  # as the portal does, which has no receipt
            assert again["ok"], (verb, again)
        state, count = (await ended(link, fields["op"]))["state"], len(effects(lab, verb, fields)) - already
        said = f"{verb}: {state}, {count} effects"
        if count > 1 or state not in ("done", "not-done") or (state == "done") != (count == 1):
            wrong.append(said)
        if how == "killed" and point != "before-intent" and CERTAIN.get(point, count) != count:
            wrong.append(said)
        if how != "killed" and point != "before-intent" and count != 1:
            wrong.append(said)
    await link.close()
    assert not wrong


def arm_late(lab: EmbeddedLab, fault: Fault, monkeypatch: pytest.MonkeyPatch, match: str) -> None:
    """The command that acts takes its time, and not one of those that look before it."""

    def at_point(point: str, verb: str) -> None:
        if (point, verb) == ("during-act", fault.verb):
            lab.sites["a"].shell.faults.append(CommandFault("command-hangs", match, 1, seconds=DURING_S))
        fault.at_point(point, verb)

    monkeypatch.setattr(acts_module, "at_point", at_point)
