"""The driver and the program at the two ends of a real sshd: sent and installed, cut off, killed, and old."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from drportal.drivers import site_program as driver_module
from drportal.drivers.base import (
    CephSite,
    Expectation,
    ImageRef,
    MirrorMode,
    MirrorSnapshot,
    Order,
)
from drportal.drivers.errors import AlreadySo, OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.observation import Part
from drportal.drivers.site_link import Installed, NoProgram, SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshTarget
from drportal.lab.ceph.lab import free_ports
from drportal.lab.ceph.sshd import Sshd
from drportal.site_program.assemble import program_text
from tests.drivers.test_ceph import ORDER
from tests.site_program.conftest import FakeCeph

NEWEST = MirrorSnapshot(8, ".mirror.primary.x", "demoted", True, True, None, None, None)


@dataclass
class Host:
    """A machine with sshd and the stand-in for Ceph; ``command`` becomes the key's forced command."""

    sshd: Sshd
    ceph: FakeCeph
    folder: Path

    def install(self, command: str | None = None, *arguments: str) -> None:
        program = self.folder / "drportal-site"
        program.write_text(program_text())
        env = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.ceph.env.items())
        words = ["--rights", "act", "--state", str(self.folder / "state"), "--engine", "rbd", *arguments]
        run = command or f"exec env {env} {sys.executable} -I {program} {shlex.join(words)}"
        key = (self.sshd.root / "client.pub").read_text()
        quoted = run.replace("\\", "\\\\").replace('"', '\\"')
        (self.sshd.root / "authorized_keys").write_text(f'restrict,command="{quoted}" {key}')

    def link(self, way: Installed | None = None) -> SiteLink:
        access = self.sshd.access()
        target = SshTarget(access.host, access.port, access.user, access.private_key, (access.host_key,))
        return SiteLink(target, way or Installed())

    def programs(self) -> list[int]:
        """The processes of the program."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.folder / "drportal-site").encode() in words and b"env" not in words[:1]:
                found.append(int(entry.name))
        return found


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    assert shutil.which("sshd", path="/usr/sbin:/sbin:" + os.environ["PATH"]), "openssh-server is not installed"
    ports = free_ports()
    sshd = Sshd("x", tmp_path / "sshd", ports.ssh, tmp_path / "none.conf")
    await sshd.prepare()
    await sshd.start()
    host = Host(sshd, FakeCeph(tmp_path / "ceph"), tmp_path)
    host.install()
    yield host
    for member in sshd.daemon.members():
        member.send(signal.SIGKILL)


@pytest.fixture
async def site(host: Host) -> AsyncIterator[SiteProgram]:
    site = SiteProgram(host.link(), patience_s=20)
    yield site
    await site.close()


def order(
    name: str, operation: str, *, primary: bool = True, fence: int = 1, newest: MirrorSnapshot | None = None
) -> Order:
    expect = Expectation(f"id-{name}", f"g-{name}", primary, newest)
    return Order(ImageRef("one", name), operation, "group-1", fence, expect)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 - what is waited for happens in other processes
            await asyncio.sleep(0.02)


async def begun(host: Host, operation: str) -> None:
    await until((host.folder / "state" / "ops" / operation).exists)


async def test_reads_come_as_the_drivers_values(host: Host, site: SiteProgram) -> None:
    host.ceph.image("disk", primary=True, watchers=[4109])
    info = await site.info(ImageRef("one", "disk"))
    assert (info.image_id, info.global_id, info.primary, info.mode) == ("id-disk", "g-disk", True, MirrorMode.SNAPSHOT)
    assert info.answer.host == host.link().target.name
    seen = await site.observe("one", [Part.INFO, Part.SNAPSHOTS, Part.WATCHERS, Part.MIRROR_CLIENTS], ["disk", "gone"])
    assert seen.images["gone"].absent
    disk = seen.images["disk"]
    assert disk.snapshots is not None
    assert disk.watchers is not None
    assert [snapshot.snap_id for snapshot in disk.snapshots.mirror_snapshots] == [7]
    assert seen.mirror_clients is not None
    assert {watcher.client for watcher in disk.watchers.watchers} == seen.mirror_clients.clients == {"4109"}
    assert not disk.troubles
    assert (await site.version())[0] == "16.2.15"
    with pytest.raises(Refused) as caught:
        await site.info(ImageRef("one", "gone"))
    assert caught.value.reason is Reason.NOT_FOUND


async def test_two_hundred_questions_share_one_session(host: Host, site: SiteProgram) -> None:
    for number in range(10):
        host.ceph.image(f"disk-{number}", primary=True)
    refs = [ImageRef("one", f"disk-{number % 10}") for number in range(200)]
    infos = await asyncio.gather(*(site.info(ref) for ref in refs))
    assert [info.ref for info in infos] == refs
    assert len(host.programs()) == 1


async def test_acts_are_sent_once_and_their_ends_are_told(host: Host, site: SiteProgram) -> None:
    host.ceph.image("disk", primary=True)
    answer = await site.demote(order("disk", "operation-1"))
    assert answer.command == site.command_for("demote", ImageRef("one", "disk")) == shlex.join(host.ceph.calls()[0])
    assert answer.exit_status == 0
    assert json.loads(answer.stdout)["after"]["primary"] is False
    with pytest.raises(AlreadySo):
        await site.demote(order("disk", "operation-2"))
    with pytest.raises(Refused) as stale:
        await site.promote(order("disk", "operation-3", primary=False, fence=0, newest=NEWEST))
    assert stale.value.reason is Reason.STALE_FENCE
    await site.promote(order("disk", "operation-4", primary=False, fence=2, newest=NEWEST))
    assert [call[3] for call in host.ceph.calls()] == ["demote", "promote"]
    receipt = await site.receipt("operation-4")
    assert receipt is not None
    assert (receipt.state, receipt.going_on) == ("done", False)
    page = await site.receipts(0)
    assert [(one["op"], one["state"]) for one in page.receipts] == [("operation-1", "done"), ("operation-4", "done")]
    assert await site.acknowledge(page.receipts) == 2


@pytest.mark.parametrize(("asked", "allowed", "most"), [(2, 16, 2), (16, 3, 3)])
async def test_no_more_acts_go_on_than_the_portal_asks_for_and_the_site_allows(
    host: Host, asked: int, allowed: int, most: int
) -> None:
    host.install(None, "--acts-at-once", str(allowed))
    names = [f"disk-{number}" for number in range(8)]
    for name in names:
        host.ceph.image(name, primary=True)
    host.ceph.set(act_s=1.0)
    site = SiteProgram(host.link(), acts_at_once=asked)
    await asyncio.gather(*(site.demote(order(name, f"operation-{name}")) for name in names))
    assert host.ceph.most_at_once() == most
    assert len(host.ceph.calls()) == len(names)
    await site.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"watchers": [5000]}, Reason.LOCK_HELD),
        ({"mode": "disabled"}, Reason.WRONG_STATE),
    ],
)
async def test_what_the_site_sees_differently_is_refused(
    host: Host, site: SiteProgram, changes: dict[str, object], reason: Reason
) -> None:
    host.ceph.image("disk", primary=True, **changes)
    wrong = order("disk", "operation-1")
    if "mode" in changes:
        wrong = Order(wrong.ref, wrong.operation_id, "g", 1, Expectation("id-other", "g-disk", True))
    with pytest.raises(Refused) as caught:
        await site.demote(wrong)
    assert caught.value.reason is reason
    assert not host.ceph.calls()


async def test_a_cut_connection_in_the_middle_of_an_act_loses_nothing(host: Host, site: SiteProgram) -> None:
    host.ceph.image("disk", primary=True)
    host.ceph.set(act_s=2.0)
    acting = asyncio.create_task(site.demote(order("disk", "operation-1")))
    await begun(host, "operation-1")
    for member in host.sshd.daemon.members("sshd"):
        if member.pid != host.sshd.daemon.process.pid:
            member.send(signal.SIGKILL)
    answer = await acting
    assert json.loads(answer.stdout)["state"] == "done"
    assert len(host.ceph.calls()) == 1
    await until(lambda: len(host.programs()) == 1)  # the first one has ended by itself, the second serves us


async def test_a_killed_program_is_found_out_and_nothing_is_sent_twice(host: Host, site: SiteProgram) -> None:
    host.ceph.image("disk", primary=True)
    host.ceph.set(act_s=2.0)
    acting = asyncio.create_task(site.demote(order("disk", "operation-1")))
    await begun(host, "operation-1")
    await until(lambda: len(host.ceph.calls()) == 1)
    for process in host.programs():
        os.kill(process, signal.SIGKILL)
    answer = await acting
    receipt = json.loads(answer.stdout)
    assert (receipt["state"], receipt["how"]) == ("done", "found"), "the client went on, and what it did was read"
    assert len(host.ceph.calls()) == 1


async def test_a_request_that_a_hung_host_has_not_read_is_barred(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.ceph.image("disk", primary=True)
    site = SiteProgram(host.link(), patience_s=1.0)
    await site.hello()
    (hung,) = host.programs()
    os.kill(hung, signal.SIGSTOP)
    with pytest.raises(Unreachable) as caught:
        await site.demote(order("disk", "operation-1"))
    assert "can't arrive there any more" in caught.value.detail
    os.kill(hung, signal.SIGCONT)
    await until(lambda: hung not in host.programs())
    assert not host.ceph.calls(), "it woke up, read the request, and did not begin it"
    await site.close()


async def test_a_site_that_does_not_come_back_leaves_the_outcome_unknown_until_it_does(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_module, "ASK_AFTER_S", 2.0)
    host.ceph.image("disk", primary=True)
    host.ceph.set(act_s=6.0)
    site = SiteProgram(host.link(), patience_s=20.0)
    acting = asyncio.create_task(site.demote(order("disk", "operation-1")))
    await begun(host, "operation-1")
    for member in host.sshd.daemon.members("sshd"):
        member.send(signal.SIGKILL)
    with pytest.raises(OutcomeUnknown):
        await acting
    await host.sshd.start()

    async def found() -> str | None:
        try:
            receipt = await site.receipt("operation-1")
        except Unreachable:
            return None
        return receipt.state if receipt is not None and not receipt.going_on else None

    assert await becomes(found) == "done"
    assert len(host.ceph.calls()) == 1
    await site.close()


async def test_an_act_whose_process_died_does_not_go_on_although_nobody_can_tell_its_end(host: Host) -> None:
    """Its program and its client were killed, and Ceph does not answer: its receipt says begun, until it does."""
    host.ceph.image("disk", primary=True)
    host.ceph.set(act_s=8.0)
    site = SiteProgram(host.link(), patience_s=20.0)
    acting = asyncio.create_task(site.demote(order("disk", "operation-1")))
    await until(host.ceph.begun("disk").exists)
    going = await site.receipt("operation-1")
    assert going is not None
    assert (going.state, going.going_on) == ("begun", True)
    host.ceph.set(down=True)
    for process in host.programs() + clients_of(host):
        os.kill(process, signal.SIGKILL)
    with pytest.raises(OutcomeUnknown) as caught:
        await acting
    assert "has an unknown end" in caught.value.detail
    dead = await site.receipt("operation-1")
    assert dead is not None
    assert (dead.state, dead.going_on, dead.tells) == ("begun", False, False)

    host.ceph.set(down=False)
    found = await site.receipt("operation-1")
    assert found is not None
    assert (found.state, found.tells) == ("not-done", True)
    await site.close()


def clients_of(host: Host) -> list[int]:
    """The processes of the stand-in for ``rbd``."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if str(host.ceph.folder / "bin" / "rbd").encode() in words:
                found.append(int(entry.name))
    return found


async def becomes(ask: Callable[[], Awaitable[str | None]]) -> str:
    async with asyncio.timeout(30):
        while (found := await ask()) is None:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return found


async def test_an_act_that_takes_longer_than_our_patience_goes_on(host: Host) -> None:
    host.ceph.image("disk", primary=True)
    host.ceph.set(act_s=14.0)
    site = SiteProgram(host.link(), patience_s=4.0)
    await site.hello()
    with pytest.raises(OutcomeUnknown) as caught:
        await site.demote(order("disk", "operation-1"))
    assert "goes on" in caught.value.detail
    receipt = await site.receipt("operation-1")
    assert receipt is not None
    assert receipt.going_on
    await until(lambda: not host.ceph.read()["images"]["disk"]["primary"])
    assert len(host.ceph.calls()) == 1
    await site.close()


async def test_the_program_is_sent_where_nothing_is_installed(host: Host) -> None:
    shutil.copy(host.sshd.root / "client.pub", host.sshd.root / "authorized_keys")
    arguments = ("--rights", "act", "--state", str(host.folder / "sent"), "--engine", "rbd")
    link = host.link(sent(program_text(), arguments))
    hello = await link.hello()
    assert (hello.rights, hello.raw["state"]) == ("act", str(host.folder / "sent"))
    await link.close()


async def test_a_forced_command_leaves_nothing_else_to_be_run(host: Host, site: SiteProgram) -> None:
    link = host.link(Installed("touch " + str(host.folder / "touched")))
    assert (await link.hello()).program == (await site.hello()).program
    assert not (host.folder / "touched").exists()
    await link.close()


@pytest.mark.parametrize(
    ("command", "error", "words"),
    [
        ("exit 127", NoProgram, "no Python 3"),
        ("echo welcome; exit 1", Unreachable, "did not start"),
        ("""echo '{"hello": "drportal-site", "protocol": [2, 3]}'; sleep 9""", Unreachable, "versions 2 to 3"),
        ("""echo '{"hello": "drportal-site"}'; sleep 9""", Unreachable, "can't be read"),
        ("""echo '{"hello": "drportal-site", "error": {"text": "The disk is full."}}'""", Unreachable, "disk is full"),
    ],
)
async def test_a_program_that_cannot_be_spoken_with(
    host: Host, command: str, error: type[Exception], words: str
) -> None:
    host.install(command)
    site = SiteProgram(host.link())
    with pytest.raises(error) as caught:
        await site.demote(order("disk", "operation-1"))
    assert words in str(caught.value)
    assert "Nothing was sent" in str(caught.value)
    await site.close()


async def test_without_python_it_says_so_and_sends_nothing(host: Host) -> None:
    shutil.copy(host.sshd.root / "client.pub", host.sshd.root / "authorized_keys")
    site: CephSite = SiteProgram(host.link(Installed("exit 127")))
    with pytest.raises(NoProgram) as caught:
        await site.demote(ORDER)
    assert "no Python 3" in str(caught.value)
    assert "Nothing was sent" in str(caught.value)


async def test_a_banner_before_hello_does_no_harm(host: Host) -> None:
    program = host.folder / "drportal-site"
    env = " ".join(f"{name}={shlex.quote(value)}" for name, value in host.ceph.env.items())
    host.install(f"echo Welcome; echo '[1]'; exec env {env} {sys.executable} -I {program} --state {host.folder / 's'}")
    link = host.link()
    assert (await link.hello()).rights == "read"
    await link.close()
