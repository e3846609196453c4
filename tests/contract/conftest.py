"""A running lab of each kind, and the drivers for both of its sites. The scenarios can't tell the kinds apart, nor the
ways in which a site is reached: plain ``rbd`` over SSH, or the site program with either of its engines,
sent or installed.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drportal.drivers.base import (
    Answer,
    CephSite,
    Expectation,
    ImageRef,
    MirrorMode,
    Order,
)
from drportal.drivers.ceph import RbdOverSsh
from drportal.drivers.errors import Refused
from drportal.drivers.opennebula import OpenNebulaOverXmlRpc, OpenNebulaTarget
from drportal.drivers.site_link import Installed, SiteLink, sent
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, SshTarget
from drportal.lab.control import LabClient, LabError, SiteDescription
from drportal.site_program.assemble import program_text
from tests.contract.installing import Keys, install, salvage_dir, target_of

SOON_S, SELDOM_S = 0.2, 3.0  # between two looks
UP_WITHIN_S = {"embedded": 60.0, "ceph": 300.0}
# Ceph's own beat of 30 s costs the scenarios most of their time.
SPEED: dict[str, list[str]] = {"embedded": ["--speed", "3"], "ceph": []}
REAL = [pytest.mark.ceph, pytest.mark.slow]
# kind of lab, and how its sites are reached
KINDS = [
    pytest.param("embedded", "rbd", id="embedded"),
    pytest.param("embedded", "program-librbd", id="embedded-program"),
    pytest.param("embedded", "installed", id="embedded-program-installed"),
    pytest.param("ceph", "rbd", id="ceph", marks=REAL),
    pytest.param("ceph", "program-librbd", id="ceph-program-librbd", marks=REAL),
    pytest.param("ceph", "installed", id="ceph-program-installed", marks=REAL),
    pytest.param("ceph", "program-rbd", id="ceph-program-rbd", marks=REAL),
]


# What a file need not be held against. OpenNebula is not reached over SSH; and what Ceph makes of an interrupted move
# does not depend on who starts its client. How the program got there shows in each kind of act, and in what its keys
# may read and may not do; the rest is the same program, which the way "sent" has been through already.
INSTALLED = {"embedded-program-installed", "ceph-program-installed"}
TRAP = "test_traps.test_"
NEEDLESS = {
    "test_clouds": {"embedded-program", "ceph-program-librbd", "ceph-program-rbd"} | INSTALLED,
    # In a trap a person acts at a shell, and the portal reads: positions, snapshots, roles, watchers and status texts.
    # That the program reads these as the client does is what test_observing and test_mirroring are for. So each trap
    # is sprung on both labs through the client, and through the program those whose reading decides over lost data:
    "test_traps": {"embedded-program", "ceph-program-librbd", "ceph-program-rbd"} | INSTALLED,
    # that a demotion is not the last word,
    f"{TRAP}a_retry_after_an_abort_loses_the_write_with_rbd_and_is_refused_and_mended_by_the_portal": (
        {"ceph-program-rbd"} | INSTALLED
    ),
    # and of which each engine has to see by itself that the copy is not whole.
    f"{TRAP}half_a_demotion_is_promoted_to_a_torn_disk_by_rbd_and_refused_and_mended_by_the_portal": INSTALLED,
    "test_lost_sites": {"ceph-program-installed"},
    # Where nothing is reached, not the program either, it does not matter by which engine it would have asked.
    **{
        f"test_lost_sites.test_{test}": {"ceph-program-rbd"} | INSTALLED
        for test in (
            "a_killed_site_is_unreachable_within_15_s_and_the_other_answers",
            "a_hung_site_is_unreachable_within_the_deadline",
        )
    },
    "test_observing": {"ceph-program-installed"},
    # All of it passes by the two keys with the least cephx caps, in five minutes of Ceph's beats. Kept are the tests
    # that wait for none: what a mirrored pair says of itself, and how Ceph's refusals read without more rights.
    **{
        f"test_mirroring.{test}": {"ceph-program-installed"}
        for test in (
            "test_an_orderly_handover_rests_on_positions_and_not_on_the_status",
            "test_what_is_so_already_is_told_apart_from_what_failed",
            "test_a_mirror_daemon_that_keeps_an_image_open_is_told_from_a_guest",
        )
    },
    "test_acts": {"embedded", "ceph"},
    "test_installed": {kind.id for kind in KINDS} - INSTALLED,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "running_lab" in metafunc.fixturenames:
        file = metafunc.module.__name__.rpartition(".")[2]
        needless = NEEDLESS.get(f"{file}.{metafunc.function.__name__}", NEEDLESS.get(file, set()))
        kinds = [kind for kind in KINDS if kind.id not in needless]
        metafunc.parametrize(("running_lab", "reach"), kinds, indirect=True, scope="package")


@pytest.fixture(scope="package")
def reach(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="package")
def keys(running_lab: LabClient, reach: str) -> dict[str, Keys]:
    """By side, where the program is installed."""
    if reach != "installed":
        return {}
    found = running_lab.description
    return {side: install(running_lab.directory, found, side) for side in found.sites}


@pytest.fixture(scope="package")
def running_lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabClient]:
    """One lab for all scenarios of a kind; each leaves it as it found it."""
    kind = request.param
    directory = tmp_path_factory.mktemp(f"lab-{kind}")
    output = (directory / "up.log").open("w+")
    process = subprocess.Popen(
        [sys.executable, "-m", "drportal.lab", "up", str(directory), "--kind", kind, "--vms", "1", *SPEED[kind]],
        stdout=output,
        stderr=subprocess.STDOUT,
    )
    try:
        yield _when_up(process, directory, UP_WITHIN_S[kind])
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        output.close()


def _when_up(process: subprocess.Popen[bytes], directory: Path, within_s: float) -> LabClient:
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if process.poll() is not None:
            break
        try:
            return LabClient(directory)
        except LabError:
            time.sleep(0.2)
    pytest.fail(f"the lab did not come up: {(directory / 'up.log').read_text()[-2000:]}")


@pytest.fixture
def lab(running_lab: LabClient) -> Iterator[LabClient]:
    """The lab, mended after the scenario whatever it broke."""
    yield running_lab
    for site, status in running_lab.status()["sites"].items():
        if status["faults"]:
            running_lab.restore(site)


@dataclass
class Site:
    """The drivers of one site."""

    description: SiteDescription
    shell: SshShell
    ceph: CephSite
    cloud: OpenNebulaOverXmlRpc

    def target(self) -> SshTarget:
        return self.shell.target

    async def close(self) -> None:
        if isinstance(self.ceph, SiteProgram):
            await self.ceph.close()
        await self.shell.close()
        await self.cloud.close()

    async def order(self, ref: ImageRef, *, primary: bool) -> Order:
        """An act on this image, expecting what is read now, but for the role from which the act starts."""
        try:
            info = await self.ceph.info(ref)
        except Refused:  # it is not there, or not to be read
            return Order(ref, str(uuid.uuid4()), "contract", 1, Expectation("0", "0", primary))
        newest = None
        if info.mode is MirrorMode.SNAPSHOT:
            found = (await self.ceph.snapshots(ref)).mirror_snapshots
            newest = found[-1] if found else None
        expect = Expectation(info.image_id, info.global_id or "0", primary, newest)
        return Order(ref, str(uuid.uuid4()), "contract", 1, expect)

    async def demote(self, ref: ImageRef) -> Answer:
        return await self.ceph.demote(await self.order(ref, primary=True))

    async def promote(self, ref: ImageRef) -> Answer:
        return await self.ceph.promote(await self.order(ref, primary=False))


def connect(description: SiteDescription, reach: str = "rbd", keys: Keys | None = None, salvage: str = "") -> Site:
    one, shell = description.opennebula, SshShell(target_of(description))
    cloud = OpenNebulaOverXmlRpc(OpenNebulaTarget(one.url, one.username, one.password), deadline_s=8.0)
    ceph: CephSite = RbdOverSsh(shell)
    if keys is not None:
        link = SiteLink(target_of(description, keys.private["act"]), Installed())
        ceph = SiteProgram(link, ceph_user=keys.users.get("act"), deadline_s=10.0)
    elif reach != "rbd":
        arguments = ("--rights", "act", "--engine", reach.removeprefix("program-"))
        arguments += ("--salvage", salvage) if salvage else ()
        ceph = SiteProgram(SiteLink(shell.target, sent(program_text(), arguments)), deadline_s=10.0)
    return Site(description, shell, ceph, cloud)


@pytest.fixture
async def sites(lab: LabClient, reach: str, keys: dict[str, Keys]) -> AsyncIterator[dict[str, Site]]:
    connected = {
        key: connect(description, reach, keys.get(key), str(salvage_dir(lab.directory, key)))
        for key, description in lab.description.sites.items()
    }
    yield connected
    for site in connected.values():
        await site.close()


@pytest.fixture
def a(sites: dict[str, Site]) -> Site:
    return sites["a"]


@pytest.fixture
def b(sites: dict[str, Site]) -> Site:
    return sites["b"]


async def becomes_true(
    check: Callable[[], Awaitable[bool]], within_s: float, what: str, *, seldom_s: float = SELDOM_S
) -> float:
    """Seconds until ``check`` was true; fails the test when it does not become so.

    It looks less and less often. A look at real Ceph starts several programs, and what comes with a beat of 30 s does
    not come sooner when both cores are busy looking for it. ``seldom_s``: for what is to be seen while it is young.
    """
    started, pause_s = time.monotonic(), SOON_S
    while not await check():
        if time.monotonic() - started > within_s:
            pytest.fail(f"{what}: not within {within_s:.0f} s")
        await asyncio.sleep(pause_s)
        pause_s = min(1.3 * pause_s, seldom_s)
    return time.monotonic() - started
