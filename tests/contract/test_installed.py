"""What the two keys of an installed site program can and cannot do, at the lab's hosts and on real Ceph alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.observation import Part
from drportal.drivers.orders import Warrant
from drportal.drivers.site_link import Installed, SiteLink
from drportal.drivers.site_program import SiteProgram
from drportal.lab.control import LabClient
from tests.contract.conftest import Site
from tests.contract.installing import Keys, target_of


@pytest.fixture
async def observer(lab: LabClient, keys: dict[str, Keys]) -> AsyncIterator[SiteProgram]:
    """By the key of site a that may only observe."""
    site = SiteProgram(SiteLink(target_of(lab.description.sites["a"], keys["a"].private["read"]), Installed()))
    yield site
    await site.close()


@pytest.fixture
async def image(lab: LabClient, a: Site) -> ImageRef:
    """A mirrored image that is primary at a."""
    for name, seen in (await a.ceph.observe(lab.description.pool, [Part.INFO])).images.items():
        if seen.info is not None and seen.info.primary:
            return ImageRef(lab.description.pool, name)
    pytest.fail("the lab has no mirrored image")


async def test_the_key_that_observes_reads_all_and_changes_nothing(
    lab: LabClient, observer: SiteProgram, a: Site, image: ImageRef
) -> None:
    parts = [Part.INFO, Part.STATUS, Part.WATCHERS, Part.SNAPSHOTS, Part.JOURNAL, Part.POOL, Part.MIRROR_CLIENTS]
    seen = await observer.observe(image.pool, parts)
    assert seen.pool is not None and seen.pool.daemons, "and the mirror daemons are seen"
    assert seen.mirror_clients is not None and seen.mirror_clients.clients
    assert image.name in seen.images and not any(one.troubles for one in seen.images.values())
    primary, other = await a.order(image, primary=True), await a.order(image, primary=False)
    warrant = Warrant("approval-1", "a" * 64)
    for act in (
        observer.demote(primary), observer.salvage(primary), observer.promote(other), observer.resync(other),
        observer.force_promote(other, warrant),
    ):  # fmt: skip
        with pytest.raises(Refused) as caught:
            await act
        assert caught.value.reason is Reason.NO_RIGHTS
    assert (await a.ceph.info(image)).primary is True


async def test_neither_key_reaches_another_pool_or_another_program(
    lab: LabClient, observer: SiteProgram, a: Site, keys: dict[str, Keys]
) -> None:
    for site in (observer, a.ceph):
        with pytest.raises(Refused) as caught:
            await site.pool("other")
        assert caught.value.reason is Reason.NO_RIGHTS
    stolen = lab.directory / "stolen"
    for key in keys["a"].private.values():
        target = target_of(lab.description.sites["a"], key)
        known = asyncssh.import_known_hosts(f"[{target.host}]:{target.port} {target.host_keys[0]}\n")
        async with asyncssh.connect(
            target.host, target.port, username=target.user, client_keys=[asyncssh.import_private_key(key)],
            known_hosts=known, config=None, agent_path=None,
        ) as connection:  # fmt: skip
            done = await connection.run(f"touch {stolen}", stdin=asyncssh.DEVNULL, timeout=30)
            assert '"hello"' in str(done.stdout), "whatever is asked for, the program answers"
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", target.port)
    assert not stolen.exists()


async def test_a_forced_promotion_needs_the_deposit_of_the_sites_own_people(b: Site, image: ImageRef) -> None:
    assert isinstance(b.ceph, SiteProgram)
    warrant = Warrant("approval-2", "b" * 64)
    order = await b.order(image, primary=False)
    approvals = Path((await b.ceph.hello()).raw["state"]) / "approvals"
    for text in (None, "one/another-image\n"):
        if text is not None:
            (approvals / warrant.sha256).write_text(text)
        with pytest.raises(Refused, match="have not deposited this approval") as caught:
            await b.ceph.force_promote(order, warrant)
        assert caught.value.reason is Reason.NO_RIGHTS
    assert (await b.ceph.info(image)).primary is False
