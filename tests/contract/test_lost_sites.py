"""How a site that is dead, hung or somebody else looks through the drivers, on both kinds of lab."""

from __future__ import annotations

import socket
import time

import asyncssh
import pytest

from drportal.drivers.base import ImageRef
from drportal.drivers.errors import IdentityChanged, OutcomeUnknown, Refused, Unreachable
from drportal.drivers.site_program import SiteProgram
from drportal.drivers.ssh import SshShell, host_key_fingerprints
from drportal.drivers.vantage import Address, Echo
from drportal.lab.control import LabClient
from tests.contract.conftest import Site, becomes_true


async def answers(site: Site, pool: str) -> bool:
    try:
        await site.ceph.pool(pool)
        await site.cloud.version()
    except Unreachable:
        return False
    return True


async def test_a_killed_site_is_unreachable_within_15_s_and_the_other_answers(lab: LabClient, a: Site, b: Site) -> None:
    ref = await some_image(a, lab)
    order = await a.order(ref, primary=True)
    lab.fail("a", "site-down")
    for ask in (a.ceph.info(ref), a.ceph.pool(ref.pool), a.ceph.demote(order), a.cloud.everything()):
        started = time.monotonic()
        with pytest.raises(Unreachable):
            await ask
        assert time.monotonic() - started < 15
    assert await answers(b, ref.pool)
    assert (await b.ceph.info(ref)).primary is False
    lab.restore("a")
    await becomes_true(lambda: answers(a, ref.pool), 90, "the site answers again")
    assert (await a.ceph.info(ref)).primary is True, "nothing was changed by asking"


async def test_the_other_site_says_what_it_sees_of_it(a: Site, b: Site) -> None:
    """Without losing a site: an address where nobody listens, and one where a program hangs, look as its own would."""
    ssh = Address(a.description.ssh.host, a.description.ssh.port)
    nowhere = Address("255.255.255.255", 22)
    with socket.create_server(("127.0.0.1", 0)) as hung, socket.create_server(("127.0.0.1", 0)) as gone:
        accepts, refuses = (Address("127.0.0.1", int(one.getsockname()[1])) for one in (hung, gone))
        gone.close()
        if not isinstance(b.ceph, SiteProgram):
            with pytest.raises(Refused, match="cannot be asked what it sees"):
                await b.ceph.look_at([ssh])
            return
        found, answer = await b.ceph.look_at([ssh, accepts, refuses, nowhere])
    assert answer.exit_status == 0
    assert [one.echo for one in found] == [Echo.GREETS, Echo.ACCEPTS, Echo.REFUSES, Echo.NO_WAY]
    assert found[0].text.startswith("SSH-2.0-")


async def test_a_hung_site_is_unreachable_within_the_deadline(lab: LabClient, a: Site) -> None:
    ref = await some_image(a, lab)
    lab.fail("a", "site-hung")
    for ask in (a.ceph.info(ref), a.ceph.pool(ref.pool)):
        started = time.monotonic()
        with pytest.raises(Unreachable):
            await ask
        assert time.monotonic() - started < 12
    started = time.monotonic()
    with pytest.raises((Unreachable, OutcomeUnknown)):
        await a.shell.act(["rbd", "mirror", "image", "demote", str(ref)], patience_s=5)
    with pytest.raises(Unreachable):
        await a.cloud.version()
    assert time.monotonic() - started < 5 + 8 + 3
    lab.restore("a")
    await becomes_true(lambda: answers(a, ref.pool), 120, "the site answers again")


async def test_an_image_is_freed_from_its_mirror_daemon_which_comes_back_by_itself(
    lab: LabClient, a: Site, b: Site
) -> None:
    """What is done before a forced promotion; here the other site lives, so that the daemon can be seen to return."""
    ref = await some_image(a, lab)

    async def daemons() -> set[str]:
        mirroring = (await b.ceph.mirror_clients(ref.pool)).clients
        return {one.address for one in (await b.ceph.watchers(ref)).watchers if one.client in mirroring}

    async def held() -> bool:
        return bool(await daemons())

    await becomes_true(held, 120, "its daemon has the image open")
    (address,) = await daemons()
    answer = await b.ceph.free(await b.order(ref, primary=False), address)
    assert answer.exit_status == 0
    assert address in answer.command
    assert address not in await daemons(), "at once"
    assert (await b.ceph.info(ref)).primary is False, "nothing else was changed"
    await becomes_true(held, 240, "it comes back, as a new client")
    assert await daemons() != {address}


async def test_a_host_with_another_key_is_not_spoken_to(lab: LabClient, a: Site) -> None:
    pinned = asyncssh.import_public_key(a.target().host_keys[0]).get_fingerprint("sha256")
    assert pinned in {key.fingerprint for key in await host_key_fingerprints(a.target().host, a.target().port)}
    lab.fail("a", "wrong-host-key")
    shell = SshShell(a.target())
    with pytest.raises(IdentityChanged) as caught:
        await shell.read(["true"])
    (shown,) = {key.fingerprint for key in await host_key_fingerprints(a.target().host, a.target().port)}
    assert shown != pinned
    assert pinned in caught.value.detail
    assert shown in caught.value.detail
    await shell.close()
    lab.restore("a", "wrong-host-key")

    async def known_again() -> bool:
        again = SshShell(a.target())
        try:
            return (await again.read(["true"])).exit_status == 0
        except (IdentityChanged, Unreachable):
            return False
        finally:
            await again.close()

    await becomes_true(known_again, 30, "the host shows its own key again")


async def some_image(site: Site, lab: LabClient) -> ImageRef:
    """A mirrored image that is primary at the site."""
    reading = await site.ceph.pool(lab.description.pool)
    for name in reading.statuses:
        ref = ImageRef(reading.pool, name)
        if (await site.ceph.info(ref)).primary:
            return ref
    pytest.fail("the lab has no mirrored image")
