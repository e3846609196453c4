"""The lab's hosts speak the site program's protocol: the program's own code over the lab's model."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from drportal.drivers.base import Answer, Expectation, ImageRef, Order
from drportal.drivers.ceph import RbdOverSsh
from drportal.drivers.errors import OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.observation import IMAGE_PARTS, Part
from drportal.drivers.site_link import SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.lab.embedded.library import LabLibrary
from drportal.lab.embedded.server import EmbeddedLab, LabOptions
from drportal.lab.embedded.shell import CommandFault
from drportal.site_program.assemble import program_text

ACTING = ("--rights", "act")
JOURNAL, SNAPSHOT = "one-10", "one-11"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[EmbeddedLab]:
    running = EmbeddedLab(tmp_path, LabOptions(vms=3, mode="mixed", speed=30.0))
    await running.start()
    for site in running.sites.values():  # nobody writes, so that images may be demoted
        site.nebula.cut_power()
    yield running
    await running.stop()


def target(lab: EmbeddedLab, site: str, **changes: Any) -> SshTarget:
    ssh = lab.describe().sites[site].ssh
    values: dict[str, Any] = {
        "host": ssh.host,
        "port": ssh.port,
        "user": ssh.user,
        "private_key": ssh.private_key,
        "host_keys": (ssh.host_key,),
    }
    return SshTarget(**(values | changes))


def program(lab: EmbeddedLab, site: str, arguments: tuple[str, ...] = ACTING, **settings: Any) -> SiteProgram:
    return SiteProgram(SiteLink(target(lab, site), sent(program_text(), arguments)), **settings)


@pytest.fixture
async def a(lab: EmbeddedLab) -> AsyncIterator[SiteProgram]:
    site = program(lab, "a")
    yield site
    await site.close()


async def order(site: SiteProgram, name: str, fence: int = 1, *, primary: bool | None = None) -> Order:
    ref = ImageRef("one", name)
    info = await site.info(ref)
    newest = (await site.snapshots(ref)).mirror_snapshots[-1:]
    expect = Expectation(
        info.image_id, info.global_id or "", info.primary is True if primary is None else primary, *newest
    )
    return Order(ref, str(uuid.uuid4()), "group-1", fence, expect)


def acts(lab: EmbeddedLab, site: str) -> list[tuple[str, int]]:
    return [(act.command, act.exit_code) for act in lab.sites[site].shell.acts]


async def begun(lab: EmbeddedLab, order: Order) -> Path:
    """The receipt's file, once the act has begun."""
    kept = lab.sites["a"].ssh.state.joinpath("ops", order.operation_id)
    for _ in range(500):
        if kept.exists():
            break
        await asyncio.sleep(0.02)
    assert kept.exists()
    return kept


def without_times(reading: Any) -> Any:
    return None if reading is None else {k: v for k, v in _fields(reading).items() if k not in ("answer", "read_at")}


def _fields(reading: Any) -> dict[str, Any]:
    return {name: getattr(reading, name) for name in type(reading).__dataclass_fields__}


async def test_it_tells_the_same_as_the_commands(lab: EmbeddedLab, a: SiteProgram) -> None:
    shell = SshShell(target(lab, "a"))
    commands = RbdOverSsh(shell)
    # In one step of the loop, and with a fault somewhere one by one.
    for faults in ([], [CommandFault("command-fails", "no command has this in it")]):
        lab.sites["a"].shell.faults[:] = faults
        mine = await a.observe("one", [*IMAGE_PARTS, Part.POOL, Part.MIRROR_CLIENTS])
        theirs = await commands.observe("one", [*IMAGE_PARTS, Part.POOL, Part.MIRROR_CLIENTS])
        assert set(mine.images) == set(theirs.images) == {f"one-{n}" for n in range(10, 15)}
        for name, image in theirs.images.items():
            assert mine.images[name].troubles == image.troubles == {}
            for part in ("info", "snapshots", "watchers"):
                assert without_times(getattr(mine.images[name], part)) == without_times(getattr(image, part)), part
            assert (mine.images[name].journal is None) == (image.journal is None)
        assert mine.pool is not None and theirs.pool is not None
        assert mine.mirror_clients is not None and theirs.mirror_clients is not None
        assert mine.mirror_clients.clients == theirs.mirror_clients.clients
        for part in ("mode", "site_name", "peers", "health", "daemons", "image_names", "parents"):
            assert getattr(mine.pool, part) == getattr(theirs.pool, part), part
    await shell.close()


async def test_all_images_are_told_in_one_step(
    lab: EmbeddedLab, a: SiteProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    before = LabLibrary._answered

    async def counted(self: LabLibrary, text: str, question: Any) -> Any:
        asked.append(text)
        return await before(self, text, question)

    monkeypatch.setattr(LabLibrary, "_answered", counted)
    assert len((await a.observe("one", IMAGE_PARTS)).images) == 5
    assert asked == ["rbd mirror pool status one --verbose"]


async def test_what_is_not_there(a: SiteProgram) -> None:
    for ref in (ImageRef("one", "no-such-image"), ImageRef("two", JOURNAL)):
        with pytest.raises(Refused) as caught:
            await a.info(ref)
        assert caught.value.reason is Reason.NOT_FOUND
    with pytest.raises(Refused) as caught:
        await a.pool("two")
    assert caught.value.reason is Reason.NOT_FOUND
    assert (await a.observe("one", [Part.INFO], ["gone"])).images["gone"].absent


@pytest.mark.parametrize("name", [JOURNAL, SNAPSHOT])
async def test_a_handover_is_counted_and_leaves_receipts(lab: EmbeddedLab, a: SiteProgram, name: str) -> None:
    b = program(lab, "b")
    demotion = await order(a, name)
    await a.demote(demotion)
    assert (await a.info(demotion.ref)).primary is False
    for _ in range(200):
        promotion = await order(b, name)
        try:
            await b.promote(promotion)
            break
        except Refused as refused:
            assert refused.reason is Reason.DEMOTION_NOT_ARRIVED
        await asyncio.sleep(0.05)
    assert (await b.info(demotion.ref)).primary is True
    assert acts(lab, "a") == [(f"rbd mirror image demote one/{name}", 0)]
    assert [act for act in acts(lab, "b") if act[1] == 0] == [(f"rbd mirror image promote one/{name}", 0)]
    receipt = await b.receipt(promotion.operation_id)
    assert receipt is not None and receipt.state == "done"
    await a.demote(demotion)  # the same operation again: its stored answer
    assert len(acts(lab, "a")) == 1
    await b.close()


async def test_what_the_site_refuses_is_never_begun(lab: EmbeddedLab, a: SiteProgram) -> None:
    wrong = await order(a, JOURNAL)
    foreign = Order(wrong.ref, "operation-1", "group-1", 5, Expectation("10abc", wrong.expect.global_id, True))
    with pytest.raises(Refused):
        await a.demote(foreign)
    with pytest.raises(Refused) as caught:
        await a.demote(await order(a, JOURNAL, fence=4))
    assert caught.value.reason is Reason.STALE_FENCE
    watched = await order(a, JOURNAL, fence=5)
    lab.world.pair(JOURNAL).attach("a", "somebody", "127.0.0.1", lab.world.clock())
    with pytest.raises(Refused) as caught:
        await a.demote(watched)
    assert caught.value.reason is Reason.LOCK_HELD
    reader = program(lab, "a", ())
    with pytest.raises(Refused) as caught:
        await reader.demote(await order(reader, JOURNAL))
    assert caught.value.reason is Reason.NO_RIGHTS
    await reader.close()
    assert acts(lab, "a") == []


async def test_a_command_that_fails_had_no_effect(lab: EmbeddedLab, a: SiteProgram) -> None:
    told = {"match": "mirror image demote", "exit": 30, "stderr": "rbd: disk on fire", "times": 1}
    await lab.sites["a"].fail("command-fails", told)
    demotion = await order(a, JOURNAL)
    with pytest.raises(Refused, match="disk on fire"):
        await a.demote(demotion)
    assert (await a.info(demotion.ref)).primary is True
    await lab.sites["a"].fail("command-fails", {"match": f"info one/{SNAPSHOT}", "exit": 1, "times": 1})
    seen = await a.observe("one", [Part.INFO])
    assert [name for name, image in seen.images.items() if image.troubles] == [SNAPSHOT]


async def test_an_answer_that_is_lost_is_found_in_the_receipt(lab: EmbeddedLab, a: SiteProgram) -> None:
    demotion = await order(a, JOURNAL)
    await lab.sites["a"].fail("command-succeeds-but-connection-drops", {"match": "mirror image demote", "times": 1})
    answer = await a.demote(demotion)
    assert answer.exit_status == 0
    assert acts(lab, "a") == [(f"rbd mirror image demote one/{JOURNAL}", 0)]


async def test_a_cut_connection_does_not_stop_the_act(lab: EmbeddedLab, a: SiteProgram) -> None:
    await lab.sites["a"].fail("command-hangs", {"match": "demote", "seconds": 1.0, "times": 1})
    demotion = await order(a, JOURNAL)
    acting = asyncio.create_task(a.demote(demotion))
    await begun(lab, demotion)
    lab.sites["a"].ssh.door.cut()
    assert isinstance(await acting, Answer)
    assert acts(lab, "a") == [(f"rbd mirror image demote one/{JOURNAL}", 0)]


async def test_an_act_that_goes_on_is_unknown_and_not_repeated(lab: EmbeddedLab) -> None:
    a = program(lab, "a", patience_s=0.5)
    await lab.sites["a"].fail("command-hangs", {"match": "demote", "seconds": 3.0, "times": 1})
    demotion = await order(a, JOURNAL)
    with pytest.raises(OutcomeUnknown):
        await a.demote(demotion)
    receipt = await a.receipt(demotion.operation_id)
    assert receipt is not None and receipt.going_on
    for _ in range(200):
        receipt = await a.receipt(demotion.operation_id)
        if receipt is not None and not receipt.going_on:
            break
        await asyncio.sleep(0.1)
    assert receipt is not None and receipt.state == "done" and len(acts(lab, "a")) == 1
    await a.close()


@pytest.mark.parametrize("fault", ["site-down", "site-hung"])
async def test_a_lost_site_is_unreachable_and_comes_back(lab: EmbeddedLab, fault: str) -> None:
    a = program(lab, "a", deadline_s=1.0)
    demotion = await order(a, JOURNAL)
    await lab.sites["a"].fail(fault, {})
    for ask in (a.info(demotion.ref), a.demote(demotion)):
        with pytest.raises((Unreachable, OutcomeUnknown)):
            async with asyncio.timeout(60):
                await ask
    await lab.sites["a"].restore(None)
    again = program(lab, "a", deadline_s=20.0)
    receipt = await again.receipt(demotion.operation_id)
    assert receipt is not None and receipt.state == "not-done"
    assert acts(lab, "a") == [] and (await again.info(demotion.ref)).primary is True
    await a.close()
    await again.close()


async def test_full_sessions_keep_the_program_from_starting(lab: EmbeddedLab, a: SiteProgram) -> None:
    await lab.sites["a"].fail("sessions-full", {})
    a = program(lab, "a", deadline_s=1.0)
    with pytest.raises(Unreachable):
        await a.info(ImageRef("one", JOURNAL))
    await lab.sites["a"].restore(None)
    assert (await a.info(ImageRef("one", JOURNAL))).primary is True
    await a.close()


async def test_without_the_mirror_daemon_a_promotion_is_refused(lab: EmbeddedLab, a: SiteProgram) -> None:
    b = program(lab, "b")
    await lab.sites["b"].fail("rbd-mirror-down", {})
    await a.demote(await order(a, JOURNAL))
    with pytest.raises(Refused) as caught:
        await b.promote(await order(b, JOURNAL))
    assert caught.value.reason is Reason.DEMOTION_NOT_ARRIVED
    await b.close()


async def test_a_lab_that_stops_leaves_an_act_begun(lab: EmbeddedLab, a: SiteProgram) -> None:
    await lab.sites["a"].fail("command-hangs", {"match": "demote", "seconds": 600.0})
    demotion = await order(a, JOURNAL)
    acting = asyncio.create_task(a.demote(demotion))
    kept = await begun(lab, demotion)
    async with asyncio.timeout(30):
        await lab.sites["a"].ssh.stop()
    assert '"state": "begun"' in kept.read_text()
    acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)


async def test_a_fence_takes_the_disk_from_its_writer(lab: EmbeddedLab, a: SiteProgram) -> None:
    lab.world.pair(JOURNAL).attach("a", "somebody", "127.0.0.1", lab.world.clock())
    watcher = lab.world.pair(JOURNAL).copies["a"].users["somebody"]
    link = SiteLink(target(lab, "a"), sent(program_text(), ACTING))
    act = {"group": "group-1", "fence": 1, "shown": "ceph osd blocklist add", "pool": "one"}
    reply = await link.ask(
        "fence", {**act, "op": "operation-1", "addresses": [watcher.address], "expire_s": 600}, deadline_s=10
    )
    assert reply.content["ok"] and reply.content["receipt"]["state"] == "done", reply.content
    assert lab.world.pair(JOURNAL).copies["a"].users == {}
    reply = await link.ask("unfence", {**act, "op": "operation-2", "addresses": [watcher.address]}, deadline_s=10)
    assert reply.content["receipt"]["after"] == {"blocklisted": []}
    daemon = lab.world.sites["a"].daemon.service_id + 2
    refused = await link.ask(
        "fence",
        {**act, "op": "operation-3", "addresses": [f"127.0.0.1:0/{1_000_000 + daemon}"], "expire_s": 600},
        deadline_s=10,
    )
    assert refused.content["error"]["code"] == "precondition"
    await link.close()


async def test_a_forced_command_is_the_program_whatever_is_asked_for(lab: EmbeddedLab) -> None:
    host = lab.sites["a"].ssh
    (host.home / "drportal-site").write_text(program_text())
    key = asyncssh.generate_private_key("ssh-ed25519")
    words = f'restrict,command="/usr/bin/python3 -I {host.home}/drportal-site --rights read --pool one" '
    with host.authorized_keys.open("a") as file:
        file.write(words + key.export_public_key().decode())
    private = key.export_private_key().decode()
    link = SiteLink(target(lab, "a", private_key=private), sent(program_text(), ACTING))
    hello = await link.hello()
    assert (hello.rights, hello.raw["pools"]) == ("read", ["one"])
    await link.close()
    ssh = lab.describe().sites["a"].ssh
    known = asyncssh.import_known_hosts(f"[{ssh.host}]:{ssh.port} {ssh.host_key}\n")
    async with asyncssh.connect(
        ssh.host, ssh.port, username=ssh.user, client_keys=[key], known_hosts=known, config=None, agent_path=None
    ) as connection:
        said = await connection.run("date +%s", stdin=asyncssh.DEVNULL, timeout=20)
    assert '"hello"' in str(said.stdout) and said.exit_status == 0


async def test_another_program_is_not_run(lab: EmbeddedLab) -> None:
    link = SiteLink(target(lab, "a"), sent("print('drportal-site')", ()))
    with pytest.raises(Unreachable, match="no other text"):
        await link.hello()
    await link.close()
