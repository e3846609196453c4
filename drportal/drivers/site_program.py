"""Ceph at one site, through the site program: its reads (``site_program_reading``), and a receipt for every act."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import (
    Answer,
    ImageRef,
    Order,
)
from drportal.drivers.errors import OutcomeUnknown, Reason, Refused, Unreachable
from drportal.drivers.orders import Receipt, Warrant
from drportal.drivers.rbd_commands import FREED_FOR_S, SHUT_OUT_FOR_S, RbdCommands, command_line, kept_name, one_line
from drportal.drivers.refusals import Refusals, refusals_of
from drportal.drivers.site_link import AnswerLost, Reply, SiteLink
from drportal.drivers.site_program_errors import raise_for_receipt, refusal
from drportal.drivers.site_program_reading import ProgramReader
from drportal.drivers.site_program_words import (
    ReceiptPage,
    act_fields,
    bound_of,
    error_of,
    page_of,
    receipt_of,
    snapshot_fields,
)
from drportal.drivers.told import Told

# How long an act whose answer was lost is asked after before its outcome is called unknown.
ASK_AFTER_S = 30.0
_EXITS = {"not-found": 2, "busy": 16, "precondition": 22, "unreachable": 110}


class SiteProgram(ProgramReader):
    """The ``CephSite`` of a site that is reached through the site program. Raises only ``drivers.errors``.

    ``acts_at_once``: at most so many acts go on there at the same time, and never more than the site itself allows.
    """

    def __init__(
        self,
        link: SiteLink,
        *,
        ceph_user: str | None = None,
        deadline_s: float = 10.0,
        patience_s: float = 90.0,
        acts_at_once: int = 16,
        told: dict[str, Told] | None = None,
    ) -> None:
        super().__init__(link, deadline_s=deadline_s, told=told)
        self._commands = RbdCommands(ceph_user)
        self._patience_s = patience_s
        self._acts_at_once = acts_at_once

    def command_for(self, act: str, ref: ImageRef) -> str:
        """The ``rbd`` command of the act: the engine ``rbd`` runs it, ``librbd`` makes the same call of Ceph's library.
        Raises KeyError for a word that ``RbdCommands.act`` does not have."""
        return command_line(self._commands.act(act, ref))

    def forced_command_for(self, ref: ImageRef, warrant: Warrant) -> str:
        return command_line(self._commands.force_promote(ref, warrant))

    def keep_command_for(self, ref: ImageRef, operation_id: str) -> str:
        return one_line(self._commands.keep_copy(ref, kept_name(ref.name, operation_id)))

    def free_command_for(self, address: str) -> str:
        return command_line(self._commands.free(address))

    async def demote(self, order: Order) -> Answer:
        return await self._act("demote", order, {"watchers": "mirroring"})

    async def promote(self, order: Order) -> Answer:
        newest = order.expect.newest_snapshot
        return await self._act("promote", order, {} if newest is None else {"newest_snapshot": snapshot_fields(newest)})

    async def resync(self, order: Order) -> Answer:
        return await self._act("resync", order, {"watchers": "mirroring"})

    async def force_promote(self, order: Order, warrant: Warrant) -> Answer:
        return await self._act("promote", order, {}, warrant)

    async def free(self, order: Order, address: str) -> Answer:
        """A program older than 1.2 refuses it (BAD_REQUEST)."""
        more = {"addresses": [address], "expire_s": FREED_FOR_S}
        return await self._send("free", "free", self.free_command_for(address), order, {}, more)

    def shut_out_command_for(self, addresses: Sequence[str]) -> str:
        return one_line(self._commands.shut_out(address) for address in addresses)

    def let_in_command_for(self, addresses: Sequence[str]) -> str:
        return one_line(self._commands.let_in(address) for address in addresses)

    async def shut_out(self, order: Order, addresses: Sequence[str]) -> Answer:
        """The program refuses addresses of mirror daemons, and its own."""
        more = {"addresses": list(addresses), "expire_s": SHUT_OUT_FOR_S}
        shown = self.shut_out_command_for(addresses)
        return await self._sent("shut_out", "fence", shown, order, act_fields(order, shown) | more)

    async def let_in(self, order: Order, addresses: Sequence[str]) -> Answer:
        shown = self.let_in_command_for(addresses)
        fields = act_fields(order, shown) | {"addresses": list(addresses)}
        return await self._sent("let_in", "unfence", shown, order, fields)

    async def salvage(self, order: Order) -> Answer:
        """Its end may be hours away: OutcomeUnknown then, and the receipt tells."""
        return await self._send("salvage", "salvage-export", self.command_for("salvage", order.ref), order, {}, {})

    async def keep_copy(self, order: Order) -> Answer:
        """As ``salvage``. A program older than 1.5 refuses it (BAD_REQUEST)."""
        shown = self.keep_command_for(order.ref, order.operation_id)
        return await self._send("keep_copy", "salvage-copy", shown, order, {}, {})

    async def _act(self, act: str, order: Order, expect: dict[str, Any], warrant: Warrant | None = None) -> Answer:
        if warrant is None:
            return await self._send(act, act, self.command_for(act, order.ref), order, expect, {})
        shown = self.forced_command_for(order.ref, warrant)
        return await self._send(act, "force-promote", shown, order, expect, {"approval": warrant.sha256})

    async def _send(
        self, act: str, verb: str, shown: str, order: Order, expect: dict[str, Any], more: dict[str, Any]
    ) -> Answer:
        fields = {
            **act_fields(order, shown),
            "image": order.ref.name,
            "expect": {
                "image_id": order.expect.image_id,
                "global_id": order.expect.global_id,
                "primary": order.expect.primary,
                **expect,
            },
            **more,
        }
        return await self._sent(act, verb, shown, order, fields)

    async def _sent(self, act: str, verb: str, shown: str, order: Order, fields: dict[str, Any]) -> Answer:
        """Send once. When the answer is lost, ask for the receipt; unknown only when that is lost too."""
        patient_until = time.monotonic() + self._patience_s
        try:
            fields.update(bound_of(await self._link.hello(), self._acts_at_once))
            reply = await self._link.ask(verb, fields, deadline_s=self._patience_s)
        except AnswerLost as lost:
            return await self._after_loss(act, shown, order.operation_id, str(lost), patient_until)
        if reply.content.get("ok"):
            return self._ended(act, shown, reply, reply.content.get("receipt"))
        error = error_of(reply.content)
        if error.get("code") == "internal":
            return await self._after_loss(act, shown, order.operation_id, str(error.get("text")), patient_until)
        exit_status = _EXITS.get(str(error.get("code")), 1)  # what rbd itself would have ended with
        raise refusal(error, self._answer(shown, reply, error, exit_status), act)

    def _ended(self, act: str, shown: str, reply: Reply, receipt: object) -> Answer:
        if not isinstance(receipt, dict):
            raise OutcomeUnknown(f"{self._host} answered the {act} in words that the portal does not know.")
        ended = receipt.get("exit") if isinstance(receipt.get("exit"), int) else None
        answer = replace(
            self._answer(shown, reply, receipt), exit_status=0 if receipt.get("state") == "done" else ended
        )
        raise_for_receipt(receipt, answer, act)
        return answer

    async def _after_loss(self, act: str, shown: str, operation_id: str, why: str, patient_until: float) -> Answer:
        """Sent, and no answer: the receipt tells. Asking for it makes sure that what has not begun never will."""
        until = time.monotonic() + ASK_AFTER_S
        while True:
            wait_s = int(max(0.0, min(60.0, patient_until - time.monotonic())))
            try:
                reply, receipt = await self._receipt(operation_id, wait_s)
                break
            except (Unreachable, Refused) as error:
                if time.monotonic() > until:
                    raise OutcomeUnknown(
                        f"The {act} was sent to {self._host}, and its answer was lost ({why}). Asked after it, the "
                        f"site did not tell: {error.detail} Ask for its receipt, or read the image's role, before "
                        "anything else."
                    ) from error
            await asyncio.sleep(1.0)
        return self._ended(act, shown, reply, receipt)

    async def _receipt(self, operation_id: str, wait_s: int = 0) -> tuple[Reply, dict[str, Any]]:
        what = f"receipt {operation_id}"
        fields: dict[str, Any] = {"op": operation_id, "wait_s": wait_s}
        if (await self._link.hello()).rights == "act":
            fields["bar"] = True
        reply = await self._read(what, "receipt", wait_s, **fields)
        receipt = reply.content.get("receipt")
        if not isinstance(receipt, dict):
            answer = self._answer(what, reply, reply.content)
            raise Refused(f"{self._host} answered in words that the portal does not know.", Reason.UNREADABLE, answer)
        return reply, receipt

    async def receipt(self, operation_id: str) -> Receipt | None:
        """See ``CephSite.receipt``."""
        reply, receipt = await self._receipt(operation_id)
        return receipt_of(receipt, self._answer(f"receipt {operation_id}", reply, receipt))

    async def receipts(self, since: int, *, limit: int = 500) -> ReceiptPage:
        """The receipts that changed after ``since`` (0: all), in order; for holding them against the trail."""
        what = f"receipts since {since}"
        reply = await self._read(what, "receipts", since=since, limit=limit)
        answer = self._answer(what, reply, {"receipts": len(reply.content.get("receipts", ()))})
        return parse.parsed(answer, lambda _: page_of(reply.content))

    async def acknowledge(self, receipts: Sequence[dict[str, Any]]) -> int:
        """Tell the site that the portal has these (as ``receipts`` gave them); how many it took as acknowledged."""
        pairs = [[receipt["op"], receipt["change"]] for receipt in receipts]
        done = 0
        for begin in range(0, len(pairs), 1000):
            reply = await self._read("acknowledge", "acknowledge", receipts=pairs[begin : begin + 1000])
            done += int(reply.content.get("acknowledged", 0))
        return done

    async def refusals(self, since: int) -> Refusals:
        """What the site has refused since then (0: all it knows). A program older than 1.5 refuses it (BAD_REQUEST)."""
        reply = await self._read("refusals", "refusals", since=since)
        return parse.parsed(self._answer("refusals", reply, reply.content), lambda said: refusals_of(said, since))
