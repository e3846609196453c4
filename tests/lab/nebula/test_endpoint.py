"""The front end as a client meets it: pyone over plain HTTP, and connections that go wrong."""

from __future__ import annotations

import asyncio
import time
import xmlrpc.client
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pyone
import pytest
import requests

from drportal.lab.embedded.nebula import NebulaSite, Timings, faults
from tests.cost import counted

from .fake_storage import FakeStorage

QUICK = Timings(
    stale_s=0.05,
    schedule_s=0.05,
    dispatch_s=0.02,
    prolog_s=0.05,
    boot_s=0.05,
    shutdown_s=0.1,
    epilog_s=0.05,
    image_s=0.05,
)
SMALL = "<TEMPLATE><NAME>v</NAME><CPU>0.1</CPU><MEMORY>96</MEMORY><DR_RUN>r-42</DR_RUN></TEMPLATE>"

T = TypeVar("T")


class Remote:
    """A served site, and clients that do not block the loop it is served by."""

    def __init__(self) -> None:
        self.storage = FakeStorage()
        self.site = NebulaSite("site-a", storage=self.storage, seed=1, password="with:colon", timings=QUICK)

    def one(self, session: str = "dr-portal:with:colon") -> Any:
        return pyone.OneServer(self.site.url, session)

    async def ask(self, question: Callable[[Any], T], session: str = "dr-portal:with:colon") -> T:
        return await asyncio.to_thread(lambda: question(self.one(session)))

    def post(self, method: str, *args: object, timeout_s: float = 0.5) -> requests.Response:
        body = xmlrpc.client.dumps(("dr-portal:with:colon", *args), method)
        return requests.post(self.site.url, data=body, timeout=timeout_s)

    def vm_names(self) -> list[str]:
        return [vm.name for vm in self.site.state.vms.values()]


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    served = Remote()
    for number in range(3):
        served.storage.add(f"one/one-{number}", mib=16)
    served.site.add_running_vm("web-1", ["one/one-0"], "production-a", 512, 0.5)
    served.site.add_running_vm("db-1", ["one/one-1", "one/one-2"], "production-a", 512, 0.5)
    await served.site.serve()
    yield served
    await served.site.close()


async def test_pyone_reads_the_inventory(remote: Remote) -> None:
    assert await remote.ask(lambda one: one.system.version()) == "7.5.80"
    pool = await remote.ask(lambda one: one.vmpool.infoextended(-2, -1, -1, -1))
    assert [(vm.ID, vm.NAME, vm.STATE, vm.LCM_STATE) for vm in pool.VM] == [(1, "db-1", 3, 3), (0, "web-1", 3, 3)]
    db, web = pool.VM
    assert [disk["SOURCE"] for disk in db.TEMPLATE["DISK"]] == ["one/one-1", "one/one-2"]
    assert web.TEMPLATE["DISK"]["SOURCE"] == "one/one-0"  # one disk: a dict, not a list
    assert web.TEMPLATE["NIC"]["IP"] == "192.168.10.10"
    assert web.TEMPLATE["CONTEXT"]["ETH0_IP6"] is None
    assert web.HISTORY_RECORDS.HISTORY[-1].TM_MAD == "ceph"


@pytest.mark.parametrize(
    "question",
    [
        lambda one: one.vmpool.info(-2, -1, -1, -1).VM,
        lambda one: one.imagepool.info(-2, -1, -1).IMAGE,
        lambda one: one.vnpool.info(-2, -1, -1).VNET,
        lambda one: one.datastorepool.info().DATASTORE,
        lambda one: one.hostpool.info().HOST,
        lambda one: one.clusterpool.info().CLUSTER,
        lambda one: one.zonepool.info().ZONE,
        lambda one: [one.user.info(-1).NAME],
        lambda one: [one.vn.info(0).AR_POOL.AR[0].LEASES.LEASE],
        lambda one: [one.image.info(0).SOURCE],
    ],
)
async def test_pyone_reads_every_kind_of_answer(remote: Remote, question: Callable[[Any], list[Any]]) -> None:
    assert await remote.ask(question)


async def test_pyone_sees_empty_pools_as_empty_lists(remote: Remote) -> None:
    pool = await remote.ask(lambda one: one.vmpool.info(-2, -1, -1, -1), "dr-portal-plain:with:colon")
    assert pool.VM == []
    assert (await remote.ask(lambda one: one.templatepool.info(-2, -1, -1))).VMTEMPLATE == []


async def test_a_fail_over_by_pyone_from_poweroff_to_a_running_vm(remote: Remote) -> None:
    def work(one: Any) -> tuple[int, int]:
        one.vm.action("poweroff", 0)
        wait_for(lambda: one.vm.info(0).STATE == 8)
        image = one.image.allocate(
            "<IMAGE><NAME>copy</NAME><TYPE>OS</TYPE><PERSISTENT>YES</PERSISTENT><SOURCE>one/one-0</SOURCE>"
            "<FORMAT>raw</FORMAT><SIZE>16</SIZE></IMAGE>",
            100,
            True,
        )
        one.image.lock(image, 2, False)
        text = SMALL.replace("</TEMPLATE>", f"<DISK><IMAGE_ID>{image}</IMAGE_ID></DISK></TEMPLATE>")
        vm_id = one.vm.allocate(text, False)
        wait_for(lambda: (one.vm.info(vm_id).STATE, one.vm.info(vm_id).LCM_STATE) == (3, 3))
        return image, vm_id

    image, vm_id = await remote.ask(work)
    assert remote.storage.images["one/one-0"].clients == {f"vm-{vm_id}"}
    vm = await remote.ask(lambda one: one.vm.info(vm_id))
    assert vm.USER_TEMPLATE["DR_RUN"] == "r-42"
    assert (await remote.ask(lambda one: one.image.info(image))).STATE == 8


def wait_for(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        (lambda one: one.vm.info(99999), pyone.OneNoExistsException),
        (lambda one: one.vm.action("resume", 0), pyone.OneActionException),
        (lambda one: one.vm.allocate("NAME=x\nMEMORY=1", False), pyone.OneInternalException),
        (lambda one: one.image.allocate("NAME=x\nSOURCE=one/a\nSIZE=1", 100), pyone.OneException),
        (lambda one: one.vm.action(0, "resume"), pyone.OneException),
        (lambda one: one.vm.info(), pyone.OneException),
        (lambda one: one.vm.explode(0), pyone.OneException),
    ],
)
async def test_refusals_reach_pyone_as_its_exceptions(
    remote: Remote, question: Callable[[Any], object], kind: type[Exception]
) -> None:
    with pytest.raises(pyone.OneException) as caught:
        await remote.ask(question)
    assert type(caught.value) is kind


@pytest.mark.parametrize("session", ["dr-portal:wrong", "nobody:x", "dr-portal"])
async def test_the_version_is_a_check_of_the_credentials(remote: Remote, session: str) -> None:
    with pytest.raises(pyone.OneAuthenticationException, match="couldn't be authenticated"):
        await remote.ask(lambda one: one.system.version(), session)


async def test_down_refuses_connections_and_comes_back_at_the_same_port(remote: Remote) -> None:
    url = remote.site.url
    await remote.site.fail("opennebula-down")
    with pytest.raises(requests.exceptions.ConnectionError):
        await asyncio.to_thread(remote.post, "one.system.version")
    await remote.site.restore("opennebula-down")
    assert remote.site.url == url
    assert await remote.ask(lambda one: one.system.version()) == "7.5.80"


async def test_hung_accepts_and_never_answers(remote: Remote) -> None:
    await remote.site.fail("opennebula-hung")
    with pytest.raises(requests.exceptions.ReadTimeout):
        await asyncio.to_thread(remote.post, "one.system.version")
    await remote.site.restore()
    assert await remote.ask(lambda one: one.system.version()) == "7.5.80"


@pytest.mark.parametrize(("thaw", "names"), [("execute", ["v"]), ("drop", [])])
async def test_a_call_given_up_by_its_client_runs_late_when_the_site_thaws(
    remote: Remote, thaw: str, names: list[str]
) -> None:
    await remote.site.fail("opennebula-hung", thaw=thaw)
    with pytest.raises(requests.exceptions.ReadTimeout):
        await asyncio.to_thread(remote.post, "one.vm.allocate", SMALL, True)
    assert remote.vm_names() == ["web-1", "db-1"]
    await remote.site.restore("opennebula-hung")
    await asyncio.sleep(0.1)
    assert remote.vm_names() == ["web-1", "db-1", *names]


async def test_an_answer_can_be_lost_after_the_call_was_executed(remote: Remote) -> None:
    await remote.site.fail("opennebula-answer-lost", match="vm.allocate", times=1)
    with pytest.raises(requests.exceptions.ConnectionError):
        await remote.ask(lambda one: one.vm.allocate(SMALL, True))
    assert remote.vm_names() == ["web-1", "db-1", "v"]
    assert await remote.ask(lambda one: one.vm.allocate(SMALL, True)) == 3


@pytest.mark.parametrize(
    "match", ["poweroff", "vm.action", "one.vm.action", "vm.action poweroff", "vm.action:poweroff", ""]
)
async def test_a_call_can_be_refused_some_times(remote: Remote, match: str) -> None:
    await remote.site.fail("opennebula-refuses", match=match, code=0x800, text="No.", times=2)
    for _ in range(2):
        with pytest.raises(pyone.OneActionException, match=r"^\[one.vm.action\] No\.$"):
            await remote.ask(lambda one: one.vm.action("poweroff", 0))
    assert await remote.ask(lambda one: one.vm.action("poweroff", 0)) == 0


@pytest.mark.parametrize("match", ["resume", "image.allocate", "vm.action resume"])
async def test_other_calls_are_not_refused(remote: Remote, match: str) -> None:
    await remote.site.fail("opennebula-refuses", match=match)
    assert await remote.ask(lambda one: one.vm.action("poweroff", 0)) == 0


async def test_a_refused_call_did_nothing(remote: Remote) -> None:
    await remote.site.fail("opennebula-refuses", match="vm.allocate", code="0x2000")
    with pytest.raises(pyone.OneInternalException):
        await remote.ask(lambda one: one.vm.allocate(SMALL, True))
    assert remote.vm_names() == ["web-1", "db-1"]
    assert remote.site.calls[-1].outcome == "The lab was told to refuse this call."


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("no-such-fault", {}),
        ("opennebula-down", {"times": 1}),
        ("opennebula-refuses", {"code": "x"}),
        ("opennebula-hung", {"thaw": "melt"}),
    ],
)
async def test_a_fault_it_does_not_know_is_refused(remote: Remote, fault: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        await remote.site.fail(fault, **options)
    assert remote.site.state.faults.active() == []


async def test_what_was_called_is_kept_without_the_password(remote: Remote) -> None:
    await remote.ask(lambda one: one.vm.action("poweroff", 0))
    call = remote.site.calls[-1]
    assert (call.user, call.method, call.args, call.outcome) == ("dr-portal", "one.vm.action", ("poweroff", 0), "ok")
    assert "with:colon" not in repr(call)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/RPC2", 405), ("POST", "/", 404), ("POST", "/RPC2x", 404)]
)
async def test_other_requests_get_an_http_error(remote: Remote, method: str, path: str, status: int) -> None:
    url = remote.site.url.removesuffix("/RPC2") + path
    answer = await asyncio.to_thread(lambda: requests.request(method, url, data=b"x", timeout=2))
    assert answer.status_code == status


async def test_junk_gets_a_fault(remote: Remote) -> None:
    answer = await asyncio.to_thread(lambda: requests.post(remote.site.url, data=b"<junk", timeout=2))
    with pytest.raises(xmlrpc.client.Fault, match="not a proper XML-RPC call"):
        xmlrpc.client.loads(answer.content)


async def test_status_tells_what_there_is(remote: Remote) -> None:
    await remote.site.fail(faults.SCHEDULER_STOPPED)
    status = remote.site.status()
    assert status["listening"] is True
    assert status["faults"] == [{"fault": "scheduler-stopped", "left": 0}]
    assert [vm["disks"] for vm in status["vms"]] == [["one/one-0"], ["one/one-1", "one/one-2"]]  # type: ignore[attr-defined]


async def test_many_clients_at_once_get_their_own_answers(remote: Remote) -> None:
    async def one_client(vm_id: int) -> bool:
        return bool(vm_id == (await remote.ask(lambda one: one.vm.info(vm_id))).ID)

    assert all(await asyncio.gather(*(one_client(number % 2) for number in range(40))))


def crowd(vms: int) -> NebulaSite:
    storage = FakeStorage()
    site = NebulaSite("site-a", storage=storage, password="secret")
    for number in range(vms):
        sources = [storage.add(f"one/one-{number * 2 + disk}") for disk in range(2)]
        site.add_running_vm(f"vm-{number}", sources, "production-a", 512, 0.5)
    return site


def test_telling_five_hundred_vms_costs_ten_times_telling_fifty() -> None:
    """Counted, not timed: a VM of two disks takes some 530 calls, however many others there are."""
    costs = {}
    for vms in (50, 500):
        site = crowd(vms)
        with counted() as costs[vms]:
            answer = site.handle("one.vmpool.infoextended", ("dr-portal:secret", -2, -1, -1, -1))
        assert str(answer).count("<VM>") == vms
    assert costs[500].calls < 11 * costs[50].calls
    assert costs[500].calls < 500 * 600


async def test_five_hundred_vms_go_over_the_wire_whole() -> None:
    site = crowd(500)
    await site.serve()
    body = xmlrpc.client.dumps(("dr-portal:secret", -2, -1, -1, -1), "one.vmpool.infoextended")
    try:
        answer = await asyncio.to_thread(lambda: requests.post(site.url, data=body, timeout=60))
    finally:
        await site.close()
    assert answer.content.count(b"&lt;VM&gt;") == 500
