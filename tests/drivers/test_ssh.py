from __future__ import annotations

import asyncio
import shlex
import socket
import struct
import time
from typing import Any

import asyncssh
import pytest

from drportal.drivers import ssh_line
from drportal.drivers.errors import IdentityChanged, OutcomeUnknown, Unreachable
from drportal.drivers.ssh import OUTPUT_LIMIT_BYTES, SshShell, host_key_fingerprints
from tests.drivers.ssh_hosts import Host, make_key, silent_port, ssh_host

Process = Any


async def echo(host: Host, process: Process) -> None:
    process.stdout.write(f"ran {process.command}")
    process.stderr.write("said")
    process.exit(3)


async def stall(host: Host, process: Process) -> None:
    await asyncio.sleep(30)


async def short(host: Host, process: Process) -> None:
    await asyncio.sleep(0.6)
    process.exit(0)


async def eventually(condition: Any, within_s: float = 3.0) -> None:
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, "it did not become true"
        await asyncio.sleep(0.02)


async def test_a_read_is_wrapped_and_any_exit_status_is_an_answer() -> None:
    async with ssh_host(echo) as host:
        shell = SshShell(host.target())
        answer = await shell.read(["rbd", "info", "one/a b;$(x)"], deadline_s=10)
        assert answer.command == "timeout -k 5 9 rbd info 'one/a b;$(x)'"
        assert (answer.exit_status, answer.stdout, answer.stderr) == (3, f"ran {answer.command}", "said")
        assert host.started == [answer.command]
        assert shlex.split(answer.command)[-1] == "one/a b;$(x)"
        assert answer.started_at.tzinfo is not None
        assert 0 <= answer.duration_s < 5
        await shell.close()


async def test_an_act_is_not_wrapped() -> None:
    async with ssh_host(echo) as host:
        shell = SshShell(host.target())
        answer = await shell.act(["rbd", "mirror", "image", "demote", "one/one-1"])
        assert host.started == ["rbd mirror image demote one/one-1"] == [answer.command]
        await shell.close()


async def test_many_commands_share_one_connection_and_eight_sessions() -> None:
    async def brief(host: Host, process: Process) -> None:
        await asyncio.sleep(0.05)
        process.exit(0)

    async with ssh_host(brief) as host:
        shell = SshShell(host.target())
        answers = await asyncio.gather(*(shell.read(["true", str(n)]) for n in range(40)))
        assert all(answer.exit_status == 0 for answer in answers)
        assert (host.logins, len(host.connections), host.most_channels) == (1, 1, 8)
        await shell.close()


async def test_a_second_connection_is_opened_only_when_more_than_eight_are_asked_for() -> None:
    async with ssh_host(short) as host:
        shell = SshShell(host.target(), sessions=12)
        await asyncio.gather(*(shell.read(["true", str(n)]) for n in range(3)))
        assert len(host.connections) == 1
        await asyncio.gather(*(shell.read(["true", str(n)]) for n in range(12)))
        assert (len(host.connections), host.most_channels, host.most_commands) == (2, 8, 12)
        await shell.close()


async def test_a_site_that_is_not_there_is_unreachable_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    target = Host(port=port, key=make_key(), user_key=make_key()).target()
    started = time.monotonic()
    for send in (SshShell(target).read, SshShell(target).act):
        with pytest.raises(Unreachable, match="Nothing was sent"):
            await send(["rbd", "info"])
    assert time.monotonic() - started < 2


async def test_a_site_that_accepts_and_never_speaks_is_unreachable_at_the_deadline() -> None:
    async with silent_port() as port:
        shell = SshShell(Host(port=port, key=make_key(), user_key=make_key()).target())
        started = time.monotonic()
        with pytest.raises(Unreachable, match="was not sent"):
            await shell.read(["true"], deadline_s=1.0)
        with pytest.raises(Unreachable, match="was not sent"):
            await shell.act(["rbd"], patience_s=0.5)
        assert time.monotonic() - started < 3
        await shell.close()


async def test_a_login_that_stalls_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_line, "LOGIN_TIMEOUT_S", 0.5)
    async with silent_port() as port:
        shell = SshShell(Host(port=port, key=make_key(), user_key=make_key()).target())
        with pytest.raises(Unreachable, match="did not complete the login"):
            await shell.read(["true"], deadline_s=5.0)
        await shell.close()


async def test_a_server_that_hangs_up_before_a_word_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a host does that dies between our connect and its first word: the socket can't even say who its peer was."""

    async def gone(host: str, port: int) -> socket.socket:
        sock = await opened_socket(host, port)
        await eventually(lambda: cannot_say_its_peer(sock))
        return sock

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    opened_socket = ssh_line.opened_socket
    monkeypatch.setattr(ssh_line, "opened_socket", gone)
    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    shell = SshShell(Host(port=port, key=make_key(), user_key=make_key()).target())
    with pytest.raises(Unreachable, match="Nothing was sent"):
        await shell.read(["true"])
    with pytest.raises(Unreachable, match="host key"):
        await host_key_fingerprints("127.0.0.1", port)
    await shell.close()
    server.close()


def cannot_say_its_peer(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return True
    return False


async def test_after_a_failed_connect_it_does_not_storm_the_server() -> None:
    attempts = 0

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    server = await asyncio.start_server(count, "127.0.0.1", 0)
    shell = SshShell(Host(port=server.sockets[0].getsockname()[1], key=make_key(), user_key=make_key()).target())
    results = await asyncio.gather(*(shell.read(["true"]) for _ in range(20)), return_exceptions=True)
    assert all(isinstance(result, Unreachable) for result in results)
    first = attempts
    assert first <= 3, "one try, and at most two looks at the key it shows"
    with pytest.raises(Unreachable):
        await shell.read(["true"])
    assert attempts == first, "still backing off"
    await asyncio.sleep(0.7)
    with pytest.raises(Unreachable):
        await shell.read(["true"])
    assert first < attempts <= 2 * first
    server.close()


async def test_a_read_that_stalls_is_dropped_at_its_deadline_and_its_session_is_free_again() -> None:
    async with ssh_host(stall) as host:
        shell = SshShell(host.target())
        for _ in range(3):
            started = time.monotonic()
            results = await asyncio.gather(
                *(shell.read(["true"], deadline_s=0.5) for _ in range(8)), return_exceptions=True
            )
            assert all(isinstance(result, Unreachable) for result in results)
            assert time.monotonic() - started < 1.5
        assert len(host.started) == 24
        assert len(host.connections) == 1
        await shell.close()


async def test_an_act_that_outlasts_our_patience_is_unknown_and_goes_on_undisturbed() -> None:
    async with ssh_host(short) as host:
        shell = SshShell(host.target())
        with pytest.raises(OutcomeUnknown, match="left running") as caught:
            await shell.act(["rbd", "mirror", "image", "demote", "one/one-1"], patience_s=0.2)
        assert caught.value.answer is not None
        assert caught.value.answer.exit_status is None
        assert shell.unfinished_acts == ("rbd mirror image demote one/one-1",)
        assert host.ended == [], "the channel is still open: nothing tells the command to stop"
        await eventually(lambda: shell.unfinished_acts == ())
        assert host.ended == ["rbd mirror image demote one/one-1"]
        assert host.signals == []
        await shell.close()


async def test_an_act_whose_caller_is_cancelled_goes_on_undisturbed() -> None:
    async with ssh_host(short) as host:
        shell = SshShell(host.target())
        caller = asyncio.create_task(shell.act(["rbd"]))
        await eventually(lambda: bool(host.started))
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert shell.unfinished_acts == ("rbd",)
        await eventually(lambda: host.ended == ["rbd"])
        assert host.signals == []
        await shell.close()


async def test_an_act_still_queued_when_its_caller_gives_up_is_never_sent() -> None:
    async with ssh_host(short) as host:
        shell = SshShell(host.target(), sessions=1)
        first = asyncio.create_task(shell.act(["first"]))
        await eventually(lambda: host.started == ["first"])
        with pytest.raises(Unreachable, match="was not sent"):
            await shell.act(["late"], patience_s=0.1)
        queued = asyncio.create_task(shell.act(["dropped"]))
        await asyncio.sleep(0.05)
        queued.cancel()
        await first
        await shell.act(["last"])
        assert host.started == ["first", "last"]
        await shell.close()


async def test_a_connection_cut_during_an_act_leaves_the_outcome_unknown() -> None:
    async def cut(host: Host, process: Process) -> None:
        process.stdout.write("Image demo")
        await asyncio.sleep(0.1)
        host.cut()

    async with ssh_host(cut) as host:
        shell = SshShell(host.target())
        with pytest.raises(OutcomeUnknown, match="lost its connection") as caught:
            await shell.act(["rbd", "mirror", "image", "demote", "one/one-1"])
        assert caught.value.answer is not None
        assert caught.value.answer.exit_status is None
        await shell.close()


async def test_a_connection_cut_during_a_read_is_unreachable() -> None:
    async def cut(host: Host, process: Process) -> None:
        await asyncio.sleep(0.05)
        host.cut()

    async with ssh_host(cut) as host:
        shell = SshShell(host.target())
        with pytest.raises(Unreachable, match="Nothing was changed"):
            await shell.read(["true"])
        await shell.close()


async def test_a_lost_connection_is_opened_again_for_the_next_command() -> None:
    async with ssh_host(echo) as host:
        shell = SshShell(host.target())
        await shell.read(["one"])
        host.cut()
        await asyncio.sleep(0.05)
        assert (await shell.act(["two"])).exit_status == 3
        assert len(host.connections) == 2
        await shell.close()


async def test_a_command_ended_by_a_signal_there_is_not_an_answer() -> None:
    async def killed(host: Host, process: Process) -> None:
        process.exit_with_signal("KILL", False, "", "")

    async with ssh_host(killed) as host:
        shell = SshShell(host.target())
        with pytest.raises(OutcomeUnknown, match="signal KILL"):
            await shell.act(["rbd"])
        with pytest.raises(Unreachable):
            await shell.read(["rbd"])
        await shell.close()


async def test_a_command_that_closes_without_an_exit_status_is_not_an_answer() -> None:
    async def lie(host: Host, process: Process) -> None:
        process.stdout.write("Image promoted to primary\n")
        process.close()

    async with ssh_host(lie) as host:
        shell = SshShell(host.target())
        with pytest.raises(OutcomeUnknown):
            await shell.act(["rbd", "mirror", "image", "promote", "one/one-1"])
        await shell.close()


async def test_a_refused_session_is_asked_for_again_and_sent_once() -> None:
    async with ssh_host(echo) as host:
        shell = SshShell(host.target())
        host.refuse_channels = True
        asked = asyncio.create_task(shell.act(["rbd", "demote"]))
        await asyncio.sleep(0.3)
        assert host.started == []
        host.refuse_channels = False
        assert (await asked).exit_status == 3
        assert host.started == ["rbd demote"]
        await shell.close()


async def test_a_server_out_of_sessions_is_unreachable_and_nothing_was_sent() -> None:
    async with ssh_host(echo) as host:
        host.refuse_channels = True
        shell = SshShell(host.target())
        with pytest.raises(Unreachable, match=r"was not sent .*open failed"):
            await shell.act(["rbd"], patience_s=0.5)
        assert host.started == []
        await shell.close()


async def test_the_eleventh_channel_of_another_client_does_not_hurt() -> None:
    async with ssh_host(short, max_sessions=5) as host:
        shell = SshShell(host.target())
        answers = await asyncio.gather(*(shell.read(["true", str(n)]) for n in range(8)))
        assert [answer.exit_status for answer in answers] == [0] * 8
        assert host.most_channels == 5
        await shell.close()


@pytest.mark.parametrize("pinned_kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_another_host_key_is_an_identity_change_with_both_fingerprints(pinned_kind: str) -> None:
    pinned = make_key(pinned_kind)
    async with ssh_host(echo) as host:
        shell = SshShell(host.target(host_keys=(pinned.export_public_key().decode(),)))
        for send in (shell.read, shell.act):
            with pytest.raises(IdentityChanged) as caught:
                await send(["rbd"])
            assert pinned.get_fingerprint("sha256") in caught.value.detail
            assert host.key.get_fingerprint("sha256") in caught.value.detail
        assert (host.started, host.logins) == ([], 0)
        await shell.close()


async def test_two_pinned_keys_overlap_during_a_change() -> None:
    async with ssh_host(echo) as host:
        both = (make_key().export_public_key().decode(), host.key.export_public_key().decode())
        shell = SshShell(host.target(host_keys=both))
        assert (await shell.read(["true"])).exit_status == 3
        await shell.close()


@pytest.mark.parametrize("keys", [(), ("ssh-ed25519 AAAArubbish",), ("",)])
async def test_without_a_usable_pinned_key_nothing_is_sent(keys: tuple[str, ...]) -> None:
    async with ssh_host(echo) as host:
        with pytest.raises(Unreachable, match="host key"):
            await SshShell(host.target(host_keys=keys)).read(["true"])
        assert host.started == []


async def test_a_refused_login_says_so_and_does_not_show_the_key() -> None:
    async with ssh_host(echo) as host:
        target = host.target(private_key=make_key().export_private_key().decode())
        with pytest.raises(Unreachable, match="refused the portal's key") as caught:
            await SshShell(target).act(["rbd"])
        for text in (repr(target), repr(caught.value), str(caught.value)):
            assert "PRIVATE KEY" not in text
            assert target.private_key[40:80] not in text


async def test_output_beyond_the_limit_is_dropped_and_the_command_still_ends() -> None:
    async def flood(host: Host, process: Process) -> None:
        for _ in range(6):
            process.stdout.write("x" * 1024 * 1024)
            await process.stdout.drain()
        process.exit(0)

    async with ssh_host(flood) as host:
        shell = SshShell(host.target())
        answer = await shell.read(["true"])
        assert answer.exit_status == 0
        assert len(answer.stdout) == OUTPUT_LIMIT_BYTES
        await shell.close()


async def test_the_service_users_own_ssh_settings_are_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host *\n  User somebody\n  ProxyCommand /bin/false\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    async with ssh_host(echo) as host:
        shell = SshShell(host.target())
        assert (await shell.read(["true"])).exit_status == 3
        await shell.close()


async def test_the_keys_a_server_shows_are_fetched_without_trusting_them() -> None:
    async with ssh_host(echo) as host:
        (shown,) = await host_key_fingerprints("127.0.0.1", host.port)
        assert shown.line.split()[:2] == host.key.export_public_key().decode().split()[:2]
        assert shown.fingerprint == host.key.get_fingerprint("sha256")
        assert shown.fingerprint.startswith("SHA256:")
        assert shown.type_word == "ssh-ed25519"
        assert host.logins == 0
        again = SshShell(host.target(host_keys=(shown.line,)))
        assert (await again.read(["true"])).exit_status == 3
        await again.close()


async def test_no_key_from_a_silent_or_absent_server() -> None:
    async with silent_port() as port:
        with pytest.raises(Unreachable, match="did not show a host key within"):
            await host_key_fingerprints("127.0.0.1", port, deadline_s=0.5)
    with pytest.raises(Unreachable, match="did not show a host key"):
        await host_key_fingerprints("127.0.0.1", port)


def test_known_hosts_are_never_switched_off() -> None:
    import inspect

    source = inspect.getsource(ssh_line)
    assert "known_hosts=None" not in source
    assert "known_hosts=(pinned, [], [])" in source
    assert asyncssh.__version__ >= "2.14.2", "older ones have known holes"
