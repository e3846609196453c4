"""OpenNebula at one site, through pyone over XML-RPC."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from drportal.drivers import opennebula_parse as parse
from drportal.drivers.base import Answer
from drportal.drivers.base_cloud import CloudImage, CloudReading, Vm
from drportal.drivers.errors import DriverError, OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.gathering import Gatherer
from drportal.drivers.leaks import without_keys
from drportal.drivers.opennebula_errors import reason_for
from drportal.drivers.opennebula_pages import Remembered, read_pages, split
from drportal.drivers.opennebula_transport import FrontEnd, NoAnswerError, NotSentError, OpenNebulaTarget, Reply

__all__ = ["ACTIONS", "OpenNebulaOverXmlRpc", "OpenNebulaTarget"]

Value = TypeVar("Value")
_VmSet = dict[int, tuple[Vm, Answer]]

# oned serves 15 connections (MAX_CONN) to everybody together; a portal must not be the one that fills them.
MAX_CONNECTIONS = 4
# The power actions a recovery needs. Not terminate-hard, not delete, not undeploy: each can take a disk along.
ACTIONS = frozenset({"poweroff", "poweroff-hard", "resume", "release", "terminate"})
LOCK_ALL = 4
HOST_ENABLED, HOST_DISABLED = 0, 1
# Filter arguments of the pool calls: all owners (-2), no range (-1, -1), and for VMs any state but DONE (-1).
_ALL = (-2, -1, -1)


@dataclass(frozen=True, slots=True)
class _Call:
    """One call without the session: ``one.vm.action("poweroff", 5)``."""

    method: str
    arguments: tuple[Any, ...]

    def __str__(self) -> str:
        # json.dumps writes what a person would type: "text", 5, true.
        return (
            f"one.{self.method}({', '.join(parse.masked(json.dumps(a, ensure_ascii=False)) for a in self.arguments)})"
        )


@dataclass(slots=True)
class Memory:
    """What a front end told last. It may outlive a connection."""

    vms: Remembered[Vm] = field(default_factory=lambda: Remembered("VM", parse.vm))
    images: Remembered[CloudImage] = field(default_factory=lambda: Remembered("IMAGE", parse.image))


class OpenNebulaOverXmlRpc:
    """The ``CloudSite`` of a site. Calls run in threads of its own; ``close()`` gives them back."""

    def __init__(
        self,
        target: OpenNebulaTarget,
        *,
        connect_s: float = 5.0,
        deadline_s: float = 15.0,
        memory: Memory | None = None,
    ) -> None:
        self._target = target
        self._memory = memory or Memory()
        self._connect_s = connect_s
        self._deadline_s = deadline_s
        self._of_thread = threading.local()
        self._threads = ThreadPoolExecutor(MAX_CONNECTIONS, thread_name_prefix="opennebula")
        self._together: Gatherer[str, _VmSet] = Gatherer(self._vm_set)

    async def close(self) -> None:
        """Stop accepting calls. One that is under way ends by itself at its deadline."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    # --- reading

    async def version(self) -> tuple[str, Answer]:
        return await self._read(_Call("system.version", ()), _as_text)

    async def everything(self) -> CloudReading:
        (version, asked), *pools = await _all(
            self.version(),
            self._pages("vmpool.infoextended", (-1,), self._memory.vms, lambda vm: vm.vm_id),
            self._pages("imagepool.info", (), self._memory.images, lambda image: image.image_id),
            self._read(_Call("vnpool.info", _ALL), _of_document(parse.networks)),
            self._read(_Call("datastorepool.info", ()), _of_document(parse.datastores)),
            self._read(_Call("hostpool.info", ()), _of_document(parse.hosts)),
        )
        vms, images, networks, datastores, hosts = (value for value, _ in pools)
        answers = (asked, *(answer for _, answer in pools))
        return CloudReading(version, vms, images, networks, datastores, hosts, answers)

    async def vm(self, vm_id: int) -> tuple[Vm, Answer]:
        """One call for all VMs that are asked for at the same moment; oned serves 30 calls a second, to everybody."""
        found = (await self._together.ask("vm", str(vm_id))).get(vm_id)
        # A set leaves out without a word what is not there, is done, or may not be seen: vm.info has the words.
        return found or await self._read(_Call("vm.info", (vm_id, False)), _of_document(parse.vm))

    async def _vm_set(self, _: str, ids: list[str]) -> _VmSet:
        if len(ids) == 1:
            return {}
        vms, answer = await self._read(_Call("vmpool.infoset", (",".join(ids), True)), self._known)
        texts = split(answer.stdout, "VM")
        if texts is None or len(texts) != len(vms):
            texts = [parse.masked(vm.document.text) for vm in vms]
        return {vm.vm_id: (vm, replace(answer, stdout=text)) for vm, text in zip(vms, texts, strict=True)}

    def _known(self, body: object) -> list[Vm]:
        """The steps of a run look at the same VMs again and again, and most are as they were."""
        new: dict[bytes, Vm] = {}
        found = self._memory.vms.page(body, new)
        self._memory.vms.items = {**self._memory.vms.items, **new}
        return found

    async def find_vms(self, marker: str) -> tuple[tuple[Vm, ...], Answer]:
        """VMs that carry our marker, DONE ones left out. Searched here: the server's own search needs MySQL."""
        vms, answer = await self._read(_Call("vmpool.infoextended", (*_ALL, -1)), _of_document(parse.vms))
        return tuple(vm for vm in vms if vm.marker == marker), answer

    async def find_images(self, source: str) -> tuple[tuple[CloudImage, ...], Answer]:
        """Image records on one RBD image (``pool/image``). OpenNebula accepts several: more than one is a finding."""
        images, answer = await self._read(_Call("imagepool.info", _ALL), _of_document(parse.images))
        return tuple(image for image in images if image.source == source), answer

    # --- acting

    async def vm_action(self, vm_id: int, action: str) -> Answer:
        if action not in ACTIONS:
            raise Refused(
                f"The portal does not send the action {action!r} to a VM. Nothing was sent.", Reason.BAD_REQUEST
            )
        return (await self._act(_Call("vm.action", (action, vm_id))))[1]

    async def vm_allocate(self, template_xml: str) -> tuple[int, Answer]:
        return await self._act(_Call("vm.allocate", (template_xml, False)))

    async def image_allocate(self, template_xml: str, datastore_id: int) -> tuple[int, Answer]:
        # True = no check of free space: the data is in the pool already, mirrored, and would be counted twice.
        return await self._act(_Call("image.allocate", (template_xml, datastore_id, True)))

    async def image_enable(self, image_id: int) -> Answer:
        return (await self._act(_Call("image.enable", (image_id, True))))[1]

    async def lock(self, kind: str, number: int) -> Answer:
        """At the level that refuses every use, to uid 0 too. Whoever takes an image into use ends its lock."""
        return (await self._act(_Call(f"{_lockable(kind)}.lock", (number, LOCK_ALL, False))))[1]

    async def unlock(self, kind: str, number: int) -> Answer:
        return (await self._act(_Call(f"{_lockable(kind)}.unlock", (number,))))[1]

    async def host_on(self, host_id: int, on: bool) -> Answer:
        """A host that is off (DISABLED) takes no new VM; those on it go on, and it is monitored as before."""
        return (await self._act(_Call("host.status", (host_id, HOST_ENABLED if on else HOST_DISABLED))))[1]

    # --- the way there

    async def _pages(
        self, method: str, rest: tuple[int, ...], remembered: Remembered[Value], number: Callable[[Value], int]
    ) -> tuple[tuple[Value, ...], Answer]:
        """A pool that may be large. Its answer is that of its first page."""

        async def ask(offset: int, size: int, new: dict[bytes, Value]) -> tuple[list[Value], Answer]:
            call = _Call(method, (-2, offset, -size if size > 0 else size, *rest))
            return await self._read(call, lambda body: remembered.page(body, new))

        return await read_pages(ask, remembered, number)

    async def _read(self, call: _Call, make: Callable[[Any], Value]) -> tuple[Value, Answer]:
        body, answer = await self._call(call, mutating=False)
        try:
            return await asyncio.to_thread(make, body), answer  # it may take long, and nobody else must wait for it
        except (ValueError, TypeError) as exc:
            problem = str(exc)
        raise Refused(
            f"The answer of {self._target.name} to {call} can't be read: {problem}. Nothing may be concluded from it.",
            Reason.UNREADABLE,
            answer,
        )

    async def _act(self, call: _Call) -> tuple[int, Answer]:
        body, answer = await self._call(call, mutating=True)
        if isinstance(body, bool) or not isinstance(body, int):
            raise OutcomeUnknown(
                f"{call} was sent to {self._target.name}; the answer has no id. Look for the result there.", answer
            )
        return body, answer

    async def _call(self, call: _Call, *, mutating: bool) -> tuple[Any, Answer]:
        """The body of oned's answer. Raises what became of the call; no exception here holds the request."""
        started_at, started = dt.datetime.now(dt.UTC), time.monotonic()

        def answer(exit_status: int | None, out: str, err: str) -> Answer:
            took_s = time.monotonic() - started
            return Answer(
                str(call), self._target.name, exit_status, without_keys(out), without_keys(err), started_at, took_s
            )

        outcome = await self._outcome(call)
        if isinstance(outcome, NotSentError):
            raise Unreachable(
                f"OpenNebula at {self._target.name} can't be reached: {outcome}. Nothing was changed.",
                answer(None, "", str(outcome)),
            )
        if isinstance(outcome, NoAnswerError):
            raise self._no_answer(call, answer(None, "", str(outcome)), mutating)
        if not outcome.ok:
            raise self._refused(call, outcome, answer(outcome.code, "", str(outcome.body)))
        shown = await asyncio.to_thread(parse.masked, str(outcome.body))
        return outcome.body, answer(0, shown, "")

    async def _outcome(self, call: _Call) -> Reply | NotSentError | NoAnswerError:
        """The call in a thread; the deadline counts from here, waiting for a free thread included."""
        exchange = self._threads.submit(self._exchange, call)
        # A second more than the thread gives itself, so that its own, better words win.
        await asyncio.wait({asyncio.wrap_future(exchange)}, timeout=self._deadline_s + 1.0)
        if exchange.cancel():
            return NotSentError(f"{MAX_CONNECTIONS} calls before this one are still waiting for their answers")
        if not exchange.done():
            return NoAnswerError("it accepted the call and did not answer in time")
        return exchange.result()

    def _exchange(self, call: _Call) -> Reply | NotSentError | NoAnswerError:
        """In a thread. Errors are returned, not raised: a traceback would carry the session along."""
        front_end: Any = self._front_end()
        for part in call.method.split("."):
            front_end = getattr(front_end, part)
        try:
            reply: Reply = front_end(*call.arguments)
        except NotSentError as exc:
            return NotSentError(*exc.args)
        except NoAnswerError as exc:
            return NoAnswerError(*exc.args)
        return reply

    def _front_end(self) -> FrontEnd:
        """This thread's own."""
        if not hasattr(self._of_thread, "front_end"):
            self._of_thread.front_end = FrontEnd(self._target, connect_s=self._connect_s, total_s=self._deadline_s)
        front_end: FrontEnd = self._of_thread.front_end
        return front_end

    def _no_answer(self, call: _Call, answer: Answer, mutating: bool) -> DriverError:
        name = self._target.name
        if mutating:
            return OutcomeUnknown(
                f"{call} was sent to OpenNebula at {name}, but {answer.stderr}. It may have been done. "
                "Look for its result there before repeating it.",
                answer,
            )
        return Unreachable(f"OpenNebula at {name} gave no answer: {answer.stderr}. Nothing was changed.", answer)

    def _refused(self, call: _Call, reply: Reply, answer: Answer) -> Refused:
        text = str(reply.body)
        reason = reason_for(reply.code, text, call.method)
        return Refused(
            f"OpenNebula at {self._target.name} refused: {text.rstrip('.')}. Nothing was changed.", reason, answer
        )


def _as_text(body: Any) -> str:
    if not isinstance(body, str) or not body:
        raise ValueError("it is not a text")
    return body


def _lockable(kind: str) -> str:
    if kind not in ("vm", "image"):
        raise Refused(f"The portal does not lock a {kind}. Nothing was sent.", Reason.BAD_REQUEST)
    return kind


def _of_document(make: Callable[[ET.Element], Value]) -> Callable[[Any], Value]:
    return lambda body: make(parse.document(body))


async def _all(*reads: Any) -> list[Any]:
    """All of them, to the end, before the first error is raised."""
    results = await asyncio.gather(*reads, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results
