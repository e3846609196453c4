from __future__ import annotations

import asyncio
import socket
import time
import xmlrpc.client
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drportal.drivers.errors import DriverError, OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.opennebula import MAX_CONNECTIONS, OpenNebulaOverXmlRpc, OpenNebulaTarget
from tests.drivers.front_ends import PASSWORD, FrontEndServer, Raw, drip, front_end, stall

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "opennebula"
Site = OpenNebulaOverXmlRpc

POOLS = {
    "one.system.version": "ceph-lab-7.5.80/01-version.txt",
    "one.vmpool.infoextended": "ceph-lab-7.5.80/04-vmpool-infoextended.xml",
    "one.imagepool.info": "ceph-lab-7.5.80/05-imagepool.xml",
    "one.vnpool.info": "ceph-lab-7.5.80/09-vnpool.xml",
    "one.datastorepool.info": "ceph-lab-7.5.80/08-datastorepool.xml",
    "one.hostpool.info": "ceph-lab-7.5.80/12-hostpool.xml",
    "one.vm.info": "ceph-lab-7.5.80/20-vm-running.xml",
}


def recorded(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
    return [True, (FIXTURES / POOLS[method]).read_text().strip(), 0]


def answering(*answer: Any) -> Callable[..., Any]:
    def give(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
        return list(answer)

    return give


def raising(problem: Exception) -> Callable[..., Any]:
    def give(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
        raise problem

    return give


READS: list[Callable[[Site], Awaitable[Any]]] = [
    lambda site: site.version(),
    lambda site: site.everything(),
    lambda site: site.vm(5),
    lambda site: site.find_vms("m"),
    lambda site: site.find_images("one/one-1"),
]
ACTS: list[Callable[[Site], Awaitable[Any]]] = [
    lambda site: site.vm_action(5, "poweroff"),
    lambda site: site.vm_allocate("<TEMPLATE/>"),
    lambda site: site.image_allocate("<TEMPLATE/>", 100),
    lambda site: site.image_enable(4),
    lambda site: site.lock("vm", 5),
    lambda site: site.unlock("image", 4),
    lambda site: site.host_on(0, False),
]


async def test_everything_is_read_with_one_call_per_pool() -> None:
    with front_end(recorded) as server:
        site = Site(server.target())
        reading = await site.everything()
        assert reading.version == "7.5.80"
        assert reading.vms and reading.images and reading.networks and reading.datastores and reading.hosts
        assert sorted(method for method, _ in server.calls) == sorted(set(POOLS) - {"one.vm.info"})
        assert len(reading.answers) == 6
        assert dict(server.calls)["one.vmpool.infoextended"] == (-2, 0, -500, -1)
        assert server.sessions[0] == f"dr-portal:{PASSWORD}"
        await site.close()


async def test_an_answer_shows_the_call_without_the_session() -> None:
    with front_end(answering(True, 5, 0)) as server:
        answer = await Site(server.target()).vm_action(5, "poweroff")
        assert server.calls == [("one.vm.action", ("poweroff", 5))]
        assert answer.command == 'one.vm.action("poweroff", 5)'
        assert answer.host == server.url.split("/")[2]
        assert (answer.exit_status, answer.stdout) == (0, "5")


async def test_image_allocate_skips_the_count_of_free_space() -> None:
    with front_end(answering(True, 12, 0)) as server:
        image_id, answer = await Site(server.target()).image_allocate("<TEMPLATE><NAME>x</NAME></TEMPLATE>", 100)
        assert image_id == 12
        assert server.calls[0] == ("one.image.allocate", ("<TEMPLATE><NAME>x</NAME></TEMPLATE>", 100, True))
        assert answer.command == 'one.image.allocate("<TEMPLATE><NAME>x</NAME></TEMPLATE>", 100, true)'


@pytest.mark.parametrize("action", ["terminate-hard", "delete", "undeploy", "", "poweroff; x"])
async def test_an_action_outside_the_list_is_not_sent(action: str) -> None:
    with front_end(answering(True, 5, 0)) as server:
        with pytest.raises(Refused, match="Nothing was sent"):
            await Site(server.target()).vm_action(5, action)
        assert server.calls == []


def test_there_is_no_way_to_delete_an_image() -> None:
    source = Path(__file__).resolve().parents[2] / "drportal" / "drivers"
    texts = [path.read_text() for path in source.glob("opennebula*.py")]
    assert texts
    assert not any("image.delete" in text or "vm.recover" in text for text in texts)


@pytest.mark.parametrize("act", ACTS)
async def test_an_act_whose_answer_does_not_come_is_unknown(act: Callable[[Site], Awaitable[Any]]) -> None:
    with front_end(stall) as server:
        site = Site(server.target(), deadline_s=0.5)
        with pytest.raises(OutcomeUnknown, match="Look for its result"):
            await act(site)
        assert len(server.calls) == 1, "an act is never repeated by the driver"


@pytest.mark.parametrize("read", READS)
async def test_a_front_end_that_accepts_and_never_answers_is_unreachable(
    read: Callable[[Site], Awaitable[Any]],
) -> None:
    with front_end(stall) as server:
        started = time.monotonic()
        with pytest.raises(Unreachable):
            await read(Site(server.target(), deadline_s=0.5))
        assert time.monotonic() - started < 3


async def test_a_call_that_found_no_free_connection_was_not_sent() -> None:
    with front_end(stall) as server:
        site = Site(server.target(), deadline_s=0.5)
        results = await asyncio.gather(
            *(site.vm_action(number, "poweroff") for number in range(MAX_CONNECTIONS + 2)), return_exceptions=True
        )
        kinds = [type(result) for result in results]
        assert kinds.count(OutcomeUnknown) + kinds.count(Unreachable) == MAX_CONNECTIONS + 2
        assert kinds.count(OutcomeUnknown) == len(server.calls), "only what was sent may be unknown"


async def test_no_more_than_four_connections_are_used_at_once() -> None:
    with front_end(drip) as server:
        site = Site(server.target())
        await asyncio.gather(*(site.version() for _ in range(20)))
        assert 2 <= server.most_at_once <= MAX_CONNECTIONS


@pytest.mark.parametrize("call", [*READS, *ACTS])
async def test_a_refused_connection_is_unreachable_and_nothing_was_sent(
    call: Callable[[Site], Awaitable[Any]],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/RPC2"
    with pytest.raises(Unreachable, match="Nothing was changed"):
        await call(Site(OpenNebulaTarget(url, "dr-portal", PASSWORD)))


@pytest.mark.parametrize(
    "problem",
    [
        Raw(None),
        Raw(200, b""),
        Raw(200, b"<html>proxy says hello</html>"),
        Raw(200, b"\x00\xff junk"),
        Raw(200, b"<?xml version='1.0'?><methodResponse><params><param><value><array>"),
        Raw(500, b"oops"),
        Raw(502, b"bad gateway"),
        Raw(504, b"gateway timeout"),
        Raw(200, b"abc", {"Content-Length": "5000"}),
    ],
)
async def test_a_lost_or_garbled_answer_is_unknown_for_an_act_and_unreachable_for_a_read(problem: Raw) -> None:
    with front_end(raising(problem)) as server:
        site = Site(server.target(), deadline_s=2.0)
        with pytest.raises(OutcomeUnknown):
            await site.vm_allocate("<TEMPLATE/>")
        with pytest.raises(Unreachable):
            await site.version()


@pytest.mark.parametrize("status", [301, 302, 307, 401, 403, 404, 405])
async def test_a_status_that_never_comes_from_oned_means_not_sent_and_is_not_followed(status: int) -> None:
    with front_end(answering(True, 7, 0)) as elsewhere:
        with front_end(raising(Raw(status, b"", {"Location": elsewhere.url}))) as server:
            with pytest.raises(Unreachable, match="address may be wrong"):
                await Site(server.target()).vm_allocate("<TEMPLATE/>")
            assert elsewhere.calls == []


@pytest.mark.parametrize("answer", [(True,), ("yes", 5, 0), (True, "five", 0), (True, True, 0), (True, None, 0), ()])
async def test_an_answer_of_the_wrong_shape_is_unknown_for_an_act(answer: tuple[Any, ...]) -> None:
    def give(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
        return ["" if part is None else part for part in answer]

    with front_end(give) as server:
        with pytest.raises(OutcomeUnknown):
            await Site(server.target()).vm_action(5, "poweroff")


@pytest.mark.parametrize("body", ["", "<VM>", "no document", "<VM><ID>x</ID></VM>", "<!DOCTYPE a><VM/>", "<VM/>"])
async def test_a_document_that_does_not_fit_is_unreadable(body: str) -> None:
    with front_end(answering(True, body, 0)) as server:
        with pytest.raises(Refused) as caught:
            await Site(server.target()).vm(5)
        assert caught.value.reason is Reason.UNREADABLE


REFUSALS = [
    ("ceph-lab-7.5.80/14-err-auth.txt", 0x100, Reason.BAD_CREDENTIALS),
    ("ceph-lab-7.5.80/15-err-authorization-vm.txt", 0x200, Reason.NO_RIGHTS),
    ("ceph-lab-7.5.80/16-err-restricted-source.txt", 0x200, Reason.NO_RIGHTS),
    ("ceph-lab-7.5.80/18-err-locked-vm-action.txt", 0x200, Reason.LOCKED),
    ("ceph-lab-7.5.80/22-err-same-persistent-twice.txt", 0x2000, Reason.WRONG_STATE),
    ("ceph-lab-7.5.80/24-err-image-name-taken.txt", 0x4000, Reason.NAME_TAKEN),
    ("ceph-lab-7.5.80/25-err-no-space.txt", 0x800, Reason.NO_ROOM),
    ("ceph-lab-7.5.80/26-err-verbatim-template.txt", 0x2000, Reason.BAD_REQUEST),
    ("ceph-lab-7.5.80/31-err-poweroff-done.txt", 0x800, Reason.WRONG_STATE),
    ("ceph-lab-7.5.80/32-err-no-exists.txt", 0x400, Reason.NOT_FOUND),
    ("measured-7.5.80/40-error-image-no-size.txt", 0x2000, Reason.BAD_REQUEST),
    ("measured-7.5.80/41-error-image-no-format.txt", 0x4000, Reason.BAD_REQUEST),
    ("measured-7.5.80/88-error-template-duplicate-name.txt", 0x2000, Reason.NAME_TAKEN),
    ("measured-7.5.80/90-error-deploy-no-capacity.txt", 0x800, Reason.NO_ROOM),
]


@pytest.mark.parametrize(("file", "code", "reason"), REFUSALS)
async def test_a_recorded_refusal_has_its_reason_and_keeps_the_words(file: str, code: int, reason: Reason) -> None:
    text = (FIXTURES / file).read_text().strip()
    with front_end(answering(False, text, code)) as server:
        with pytest.raises(Refused) as caught:
            await Site(server.target()).vm_allocate("<TEMPLATE/>")
        assert caught.value.reason is reason
        assert text.rstrip(".") in caught.value.detail
        assert caught.value.answer is not None
        assert caught.value.answer.exit_status == code


async def test_an_xmlrpc_fault_is_a_refusal() -> None:
    with front_end(raising(xmlrpc.client.Fault(-506, "Method 'one.x' not defined"))) as server:
        with pytest.raises(Refused) as caught:
            await Site(server.target()).version()
        assert caught.value.reason is Reason.BAD_REQUEST


async def test_our_own_objects_are_found_by_marker_and_by_source() -> None:
    marked = (FIXTURES / POOLS["one.vmpool.infoextended"]).read_text()
    marked = marked.replace("</USER_TEMPLATE>", "<DR_MARKER>g1-vm0-ab</DR_MARKER></USER_TEMPLATE>", 1)

    def give(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
        return [True, marked, 0] if method.startswith("one.vmpool") else recorded(server, method, arguments)

    with front_end(give) as server:
        site = Site(server.target())
        found, _ = await site.find_vms("g1-vm0-ab")
        assert [vm.marker for vm in found] == ["g1-vm0-ab"]
        assert (await site.find_vms("g1-vm0"))[0] == ()
        images, _ = await site.find_images("one/one-1")
        assert images and {image.source for image in images} == {"one/one-1"}
        assert (await site.find_images("one/one"))[0] == ()


async def test_the_environments_proxy_and_netrc_never_see_a_call(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login x password y\n")
    with front_end(answering(True, "7.5.80", 0)) as proxy, front_end(answering(True, "7.5.80", 0)) as server:
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await Site(server.target()).version()
        assert (len(server.calls), proxy.calls) == (1, [])


async def test_the_process_wide_socket_timeout_is_left_alone() -> None:
    with front_end(answering(True, "7.5.80", 0)) as server:
        await Site(server.target()).version()
        assert socket.getdefaulttimeout() is None


def everything_an_error_says(error: BaseException | None) -> str:
    said = []
    while error is not None:
        said += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return "\n".join(said)


@pytest.mark.parametrize(
    "give",
    [
        answering(False, "[one.vm.allocate] User couldn't be authenticated, aborting call.", 0x100),
        answering(True, "odd", 0),
        raising(Raw(None)),
        raising(Raw(500, b"x")),
        raising(Raw(404, b"x")),
        raising(Raw(200, b"junk")),
        raising(xmlrpc.client.Fault(-501, "bad")),
        stall,
    ],
)
async def test_the_password_is_in_no_error(give: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with front_end(give) as server:
        site = Site(server.target(), deadline_s=0.5)
        with pytest.raises(DriverError) as caught:
            await site.vm_allocate("<TEMPLATE/>")
        assert server.sessions == [f"dr-portal:{PASSWORD}"], "the canary did travel"
        said = everything_an_error_says(caught.value) + repr(site) + repr(server.target()) + caplog.text
        assert PASSWORD not in said
        assert caught.value.answer is None or PASSWORD not in repr(caught.value.answer)


async def test_vms_asked_for_at_the_same_moment_are_one_call_and_each_answer_is_about_its_own() -> None:
    pool = (FIXTURES / POOLS["one.vmpool.infoextended"]).read_text().strip()

    def answer(server: FrontEndServer, method: str, arguments: tuple[Any, ...]) -> Any:
        if method == "one.vmpool.infoset":
            return [True, pool, 0]
        return [False, "[one.vm.info] Error getting virtual machine [7].", 0x0400]

    with front_end(answer) as server:
        site = Site(server.target())
        found = await asyncio.gather(*(site.vm(number) for number in (100, 87, 87, 7)), return_exceptions=True)
        await site.close()
    assert sorted(method for method, _ in server.calls) == ["one.vm.info", "one.vmpool.infoset"]
    assert dict(server.calls)["one.vmpool.infoset"] == ("100,7,87", True)
    assert isinstance(found[3], Refused), "what a set leaves out is asked for by itself, and that has the words"
    assert found[3].reason is Reason.NOT_FOUND
    for number, one in zip((100, 87, 87), found, strict=False):
        assert not isinstance(one, BaseException)
        vm, said = one
        assert vm.vm_id == number
        assert f"<ID>{number}</ID>" in said.stdout
        assert said.stdout.count("<VM>") == 1
        assert said.command == 'one.vmpool.infoset("100,7,87", true)'


async def test_secrets_stay_hidden_where_many_vms_are_read_at_once() -> None:
    text = (FIXTURES / "measured-7.5.80" / "13-vm-info-running-persistent.xml").read_text().strip()
    with front_end(answering(True, f"<VM_POOL>{text}</VM_POOL>", 0)) as server:
        site = Site(server.target())
        found = await asyncio.gather(site.vm(2), site.vm(3), return_exceptions=True)
        await site.close()
        assert not isinstance(found[0], BaseException)
        vm, answer = found[0]
        assert "c2VjcmV0" not in answer.stdout and "<PASSWORD_BASE64>(hidden)" in answer.stdout
        assert "c2VjcmV0" in vm.document.text


async def test_secrets_of_guests_are_hidden_in_answers_but_kept_for_the_definition() -> None:
    text = (FIXTURES / "measured-7.5.80" / "13-vm-info-running-persistent.xml").read_text()
    assert "c2VjcmV0" in text
    with front_end(answering(True, text, 0)) as server:
        vm, answer = await Site(server.target()).vm(2)
        assert "c2VjcmV0" not in answer.stdout and "<PASSWORD_BASE64>(hidden)" in answer.stdout
        assert "c2VjcmV0" in vm.document.text
    with front_end(answering(True, 3, 0)) as server:
        template = "<TEMPLATE><CONTEXT><PASSWORD>hunter2</PASSWORD></CONTEXT></TEMPLATE>"
        _, answer = await Site(server.target()).vm_allocate(template)
        assert "hunter2" not in answer.command
        assert server.calls[0][1][0] == template
