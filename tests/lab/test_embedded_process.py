"""The running lab: SSH as sshd would, faults, control endpoint, a second start."""

from __future__ import annotations

import asyncio
import json
import time
import xmlrpc.client
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncssh
import pytest

from drportal.lab.control import FILE_NAME, LabClient, LabError
from drportal.lab.embedded import answers
from drportal.lab.embedded.server import EmbeddedLab, LabOptions
from drportal.lab.embedded.shell import Shell
from tests.cost import counted
from tests.lab.conftest import SNAPSHOT_IMAGE, Bench

T = TypeVar("T")
FAST = LabOptions(vms=3, mode="mixed", speed=30.0)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[EmbeddedLab]:
    running = EmbeddedLab(tmp_path, FAST)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
def client(lab: EmbeddedLab) -> LabClient:
    return LabClient(lab.directory, timeout_s=20)


async def ask(what: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The client is synchronous and the lab runs in this loop: so in a thread."""
    return await asyncio.to_thread(what, *args, **kwargs)


async def connect(client: LabClient, site: str, **changes: Any) -> asyncssh.SSHClientConnection:
    to = client.description.sites[site].ssh
    settings: dict[str, Any] = {
        "username": to.user,
        "client_keys": [asyncssh.import_private_key(to.private_key)],
        "known_hosts": asyncssh.import_known_hosts(f"[{to.host}]:{to.port} {to.host_key}\n"),
        "config": None,
        "agent_path": None,
        "login_timeout": 5,
    }
    return await asyncssh.connect(to.host, to.port, **{**settings, **changes})


async def run(
    connection: asyncssh.SSHClientConnection, command: str, within_s: float = 20
) -> tuple[int | None, str, str]:
    done = await asyncio.wait_for(connection.run(command), within_s)
    return done.exit_status, str(done.stdout), str(done.stderr)


def opennebula(client: LabClient, site: str) -> Any:
    """one.vmpool.info of everybody's VMs."""
    to = client.description.sites[site].opennebula
    server = xmlrpc.client.ServerProxy(to.url)
    return server.one.vmpool.info(f"{to.username}:{to.password}", -2, -1, -1, -1)


async def primary(connection: asyncssh.SSHClientConnection, image: str) -> bool:
    code, out, err = await run(connection, f"rbd info one/{image} --format json")
    assert code == 0, err
    return bool(json.loads(out)["mirroring"]["primary"])


async def test_its_description_is_complete_and_private(lab: EmbeddedLab) -> None:
    path = lab.directory / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    data = json.loads(path.read_text())
    assert (data["format"], data["kind"], data["pool"]) == (1, "embedded", "one")
    assert set(data["sites"]) == {"a", "b"} and data["sites"]["a"]["ssh"]["host_key"].startswith("ssh-ed25519 ")


async def test_the_first_vms_run_at_a_with_five_disks(client: LabClient) -> None:
    status = await ask(client.status)
    here, there = status["sites"]["a"], status["sites"]["b"]
    assert {vm["name"]: (vm["state"], len(vm["disks"])) for vm in here["vms"].values()} == {
        "web-1": ("RUNNING", 1),
        "db-1": ("RUNNING", 2),
        "app-1": ("RUNNING", 2),
    }
    assert there["vms"] == {}
    assert set(here["images"]) == set(there["images"]) and len(here["images"]) == 5
    assert all(image["primary"] for image in here["images"].values())
    assert not any(image["primary"] for image in there["images"].values())
    assert sorted(image["mode"] for image in here["images"].values()) == ["journal"] * 3 + ["snapshot"] * 2
    ok, body, _ = await ask(opennebula, client, "a")
    assert ok and "192.168.10." in body


async def test_only_the_pinned_key_and_user_get_in(client: LabClient) -> None:
    async with await connect(client, "a") as connection:
        assert (await run(connection, "true"))[0] == 0
    for changes in (
        {"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]},
        {"username": "root"},
        {"client_keys": None, "password": client.description.sites["a"].opennebula.password},
    ):
        with pytest.raises(asyncssh.PermissionDenied):
            await connect(client, "a", **changes)


async def test_its_shell_knows_a_fixed_list(client: LabClient) -> None:
    async with await connect(client, "a") as connection:
        assert (await run(connection, "rbd --version"))[1].startswith("ceph version 16.2.15")
        assert abs(int((await run(connection, "date -u +%s"))[1]) - time.time()) < 5
        assert await run(connection, "cat /etc/passwd") == (127, "", "sh: 1: cat: not found\n")
        assert (await run(connection, "rbd info one/one-10; true"))[0] != 0
        assert (await run(connection, "timeout -k 5 9 rbd --client-mount-timeout 5 --id drportal ls one"))[0] == 0


async def test_a_connection_has_ten_sessions(client: LabClient) -> None:
    await ask(client.fail, "a", "command-hangs", match="true", seconds=30)
    async with await connect(client, "a") as connection:
        held = [await connection.create_process("true") for _ in range(10)]
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process("date")
        held[0].close()
        await held[0].wait_closed()
        assert (await run(connection, "date +%s"))[0] == 0
        async with await connect(client, "a") as second:
            assert (await run(second, "date +%s"))[0] == 0


async def test_the_planned_move_works_over_ssh_in_both_modes(client: LabClient) -> None:
    names = list((await ask(client.status))["sites"]["a"]["images"])
    async with await connect(client, "a") as a, await connect(client, "b") as b:
        for name in names:
            await ask(client.write, "a", name, f"seed of {name}")
            before = await ask(client.checksum, "a", name)
            assert (await run(a, f"rbd mirror image demote one/{name}"))[0] == 0
            until = time.monotonic() + 10
            while (answer := await run(b, f"rbd mirror image promote one/{name}"))[0] != 0:
                assert answer[0] in (16, 30) and time.monotonic() < until, answer
            assert await primary(b, name) and not await primary(a, name)
            assert await ask(client.checksum, "b", name) == before
            with pytest.raises(LabError, match="not primary"):
                await ask(client.write, "a", name, "no")


async def test_a_cut_connection_does_not_stop_the_command(client: LabClient) -> None:
    await ask(client.fail, "a", "command-hangs", match="demote", seconds=0.4, times=1)
    connection = await connect(client, "a")
    await connection.create_process("rbd mirror image demote one/one-10")
    await asyncio.sleep(0.1)
    connection.abort()
    await asyncio.sleep(0.1)
    async with await connect(client, "a") as again:
        assert await primary(again, "one-10")
        await asyncio.sleep(0.5)
        assert not await primary(again, "one-10")


async def test_a_dead_site_refuses_everything_and_comes_back_where_it_was(client: LabClient) -> None:
    connection = await connect(client, "a")
    await ask(client.fail, "a", "site-down")
    with pytest.raises((asyncssh.ConnectionLost, asyncssh.ChannelOpenError, OSError)):
        await run(connection, "true")
    with pytest.raises(ConnectionRefusedError):
        await connect(client, "a")
    with pytest.raises(ConnectionRefusedError):
        await ask(opennebula, client, "a")
    with pytest.raises(LabError, match="Nothing was written"):
        await ask(client.write, "a", "one-10", "x")
    async with await connect(client, "b") as b:
        assert (await run(b, "rbd mirror image promote one/one-10"))[0] == 16
        assert (await run(b, "rbd mirror image promote --force one/one-10"))[0] == 0
    await ask(client.restore, "a")
    async with await connect(client, "a") as a:
        assert await primary(a, "one-10"), "two primaries, and nobody says so"
    assert (await ask(opennebula, client, "a"))[0]


async def test_a_dead_site_that_lost_power_has_no_running_vms(client: LabClient) -> None:
    await ask(client.fail, "a", "site-down", power="lost")
    await ask(client.restore, "a", "site-down")
    assert {vm["state"] for vm in (await ask(client.status))["sites"]["a"]["vms"].values()} == {"POWEROFF"}


async def test_a_hung_site_accepts_and_never_answers(client: LabClient) -> None:
    connection = await connect(client, "a")
    await ask(client.fail, "a", "site-hung")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connection.run("true"), 0.5)
    with pytest.raises((TimeoutError, asyncssh.Error)):
        await asyncio.wait_for(connect(client, "a"), 0.5)
    await ask(client.restore, "a", "site-hung")
    async with await connect(client, "a") as a:
        assert (await run(a, "true"))[0] == 0
    connection.abort()


async def test_without_the_mirror_daemon_no_demotion_arrives(client: LabClient) -> None:
    await ask(client.fail, "b", "rbd-mirror-down")
    async with await connect(client, "a") as a, await connect(client, "b") as b:
        assert (await run(a, "rbd mirror image demote one/one-10"))[0] == 0
        await asyncio.sleep(1)
        assert (await run(b, "rbd mirror image promote one/one-10"))[0] == 16
        await ask(client.restore, "b", "rbd-mirror-down")
        until = time.monotonic() + 10
        while (await run(b, "rbd mirror image promote one/one-10"))[0] != 0:
            assert time.monotonic() < until
    assert (await ask(client.status))["sites"]["b"]["rbd_mirror"] == "running"


async def test_of_two_faults_of_the_mirror_daemon_the_one_that_is_left_holds(client: LabClient) -> None:
    async def is_now() -> str:
        return str((await ask(client.status))["sites"]["b"]["rbd_mirror"])

    await ask(client.fail, "b", "rbd-mirror-hung")
    await ask(client.fail, "b", "rbd-mirror-down")
    await ask(client.restore, "b", "rbd-mirror-hung")
    assert await is_now() == "dead"
    await ask(client.fail, "b", "rbd-mirror-hung")
    await ask(client.restore, "b", "rbd-mirror-down")
    assert await is_now() == "hung"
    await ask(client.fail, "b", "site-down")
    await ask(client.restore, "b", "site-down")
    assert await is_now() == "hung"
    await ask(client.restore, "b", "rbd-mirror-hung")
    assert await is_now() == "running"


async def test_a_wrong_host_key_is_shown_to_new_and_old(client: LabClient) -> None:
    await ask(client.fail, "a", "wrong-host-key")
    with pytest.raises(asyncssh.HostKeyNotVerifiable):
        await connect(client, "a")
    await ask(client.restore, "a", "wrong-host-key")
    async with await connect(client, "a") as a:
        assert (await run(a, "true"))[0] == 0


async def test_full_sessions_refuse_channels_but_not_the_login(client: LabClient) -> None:
    await ask(client.fail, "a", "sessions-full")
    async with await connect(client, "a") as a:
        with pytest.raises(asyncssh.ChannelOpenError):
            await run(a, "true")
        await ask(client.restore, "a", "sessions-full")
        assert (await run(a, "true"))[0] == 0


async def test_a_command_fails_as_often_as_told_and_has_no_effect(client: LabClient) -> None:
    await ask(client.fail, "a", "command-fails", match="mirror image demote", exit=5, stderr="disk on fire", times=1)
    async with await connect(client, "a") as a:
        assert await run(a, "rbd mirror image demote one/one-10") == (5, "", "disk on fire\n")
        assert await primary(a, "one-10")
        assert (await run(a, "rbd mirror image demote one/one-10"))[0] == 0


async def test_a_command_succeeds_but_its_answer_is_lost(client: LabClient) -> None:
    await ask(client.fail, "a", "command-succeeds-but-connection-drops", match="mirror image demote", times=1)
    connection = await connect(client, "a")
    with pytest.raises((asyncssh.Error, OSError)):
        done = await connection.run("rbd mirror image demote one/one-10")
        assert done.exit_status is None
        raise OSError("no exit status came")
    async with await connect(client, "a") as a:
        assert not await primary(a, "one-10")


async def test_a_hanging_read_is_ended_by_timeout(client: LabClient) -> None:
    await ask(client.fail, "a", "command-hangs", match="rbd", seconds=30)
    async with await connect(client, "a") as a:
        assert (await run(a, "timeout -k 5 0.2 rbd ls one"))[0] == 124


async def test_opennebula_faults_pass_through(client: LabClient) -> None:
    await ask(client.fail, "a", "opennebula-refuses", match="vmpool.info", text="no", times=1)
    assert (await ask(opennebula, client, "a"))[0] is False
    assert (await ask(opennebula, client, "a"))[0] is True
    await ask(client.fail, "a", "opennebula-down")
    with pytest.raises(ConnectionRefusedError):
        await ask(opennebula, client, "a")
    await ask(client.restore, "a", "opennebula-down")
    assert (await ask(opennebula, client, "a"))[0] is True


async def test_it_refuses_nonsense_with_a_sentence(client: LabClient) -> None:
    for site, fault, options in (
        ("a", "earthquake", {}),
        ("c", "site-down", {}),
        ("a", "slow-replay", {"rate": "fast"}),
    ):
        with pytest.raises(LabError):
            await ask(client.fail, site, fault, **options)
    with pytest.raises(LabError, match="no image"):
        await ask(client.checksum, "a", "nothing")
    with pytest.raises(LabError, match="no option"):
        await ask(client.fail, "a", "site-down", rate=3)
    assert (await ask(client.status))["sites"]["a"]["faults"] == {}


async def test_the_control_endpoint_wants_its_token(client: LabClient) -> None:
    object.__setattr__(client.description.control, "token", "guess")
    with pytest.raises(LabError, match="token"):
        await ask(client.status)


async def test_it_creates_images_that_the_other_side_replays(client: LabClient) -> None:
    for mode in ("journal", "snapshot"):
        await ask(client.create_image, "b", f"extra-{mode}", mode=mode)
        assert (await ask(client.image, "a", f"extra-{mode}"))["role"] == "replica"
        assert await ask(client.checksum, "a", f"extra-{mode}") == await ask(client.checksum, "b", f"extra-{mode}")
    with pytest.raises(LabError, match="image exists"):
        await ask(client.create_image, "b", "extra-journal")


async def test_keys_ports_and_passwords_outlive_a_restart_and_the_world_does_not(tmp_path: Path) -> None:
    first = EmbeddedLab(tmp_path, FAST)
    before = await first.start()
    first.world.pair("one-10").demote("a", time.time())
    await first.stop()
    assert not (tmp_path / FILE_NAME).exists()
    second = EmbeddedLab(tmp_path, FAST)
    after = await second.start()
    try:
        assert (after.sites, after.control) == (before.sites, before.control)
        assert second.world.pair("one-10").writable("a")
    finally:
        await second.stop()


async def test_it_says_so_when_its_port_is_taken(lab: EmbeddedLab) -> None:
    described = (lab.directory / FILE_NAME).read_text()
    with pytest.raises(LabError, match="port"):
        await EmbeddedLab(lab.directory, FAST).start()
    assert (lab.directory / FILE_NAME).read_text() == described, "the running lab keeps its description"


def test_the_lab_of_five_hundred_vms_is_quickly_made_and_read(tmp_path: Path) -> None:
    """Counted, not timed, and by a clock that stands: one status of the pool looks at each image by itself."""
    reads = {}
    for vms in (50, 500):
        lab = EmbeddedLab(tmp_path / str(vms), LabOptions(vms=vms))
        now = time.time()
        lab.world.clock = lambda now=now: now
        with counted() as start:
            lab.populate()
        images = len(lab.world.pairs)
        with counted() as reads[vms]:
            status = answers.pool_status(lab.world, "b", verbose=True)
        assert len(status["images"]) == images > vms
    assert start.calls < 5_000_000
    assert reads[500].calls < 11 * reads[50].calls


async def test_five_hundred_vms_are_read_over_ssh(tmp_path: Path) -> None:
    lab = EmbeddedLab(tmp_path, LabOptions(vms=500))
    await lab.start()
    try:
        async with await connect(LabClient(tmp_path), "b") as b:
            code, out, _ = await run(b, "rbd mirror pool status one --verbose --format json", within_s=60)
        images = json.loads(out)["images"]
        assert (code, len(images)) == (0, 833)
        assert all(image["state"] == "up+replaying" for image in images)
    finally:
        await lab.stop()


async def test_it_remembers_every_act_and_how_it_ended(client: LabClient) -> None:
    connection = await connect(client, "a")
    await run(connection, "rbd mirror pool status one --format json")
    for _ in range(2):
        await run(connection, "rbd mirror image demote one/one-10")
    acts = await ask(client.acts, "a")
    assert [(act["command"], act["exit_code"]) for act in acts] == [
        ("rbd mirror image demote one/one-10", 0),
        ("rbd mirror image demote one/one-10", 22),
    ]
    assert await ask(client.acts, "b") == []
    connection.close()


def test_a_lab_of_thousands_of_images_has_room_for_their_vms(tmp_path: Path) -> None:
    lab = EmbeddedLab(tmp_path, LabOptions(vms=1300))
    lab.populate()
    assert len(lab.sites["a"].nebula.state.vms) == 1300


async def test_reading_a_snapshot_schedule_is_no_act_on_an_image(bench: Bench) -> None:
    shell = Shell(bench.rbd["a"])
    assert (await shell.run("rbd mirror snapshot schedule ls --pool one --recursive --format json")).exit_code == 0
    assert shell.acts == []
    assert (await shell.run(f"rbd mirror image snapshot one/{SNAPSHOT_IMAGE}")).exit_code == 0
    assert len(shell.acts) == 1
