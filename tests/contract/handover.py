"""One image between two sites: what a person does to it with plain ``rbd``, and what the portal's gates say about it.

The gates are read as the executor reads them: drivers, facts, ``drportal.recovery.gate_readings``.
"""

from __future__ import annotations

import datetime as dt

from drportal.drivers.base import Answer, ImageRef, MirrorMode
from drportal.engine.facts import Side
from drportal.engine.gate_parts import DISCARD_TARGET
from drportal.engine.gates import GateId, GateOutcome, GateResult
from drportal.engine.verdicts import Verdict, VerdictCode, VerdictPolicy, verdict
from drportal.recovery.gate_readings import Subject, read_gate
from drportal.recovery.pace import Pace
from drportal.recovery.plan_copy import ImageCopy, PlanCopy, VmCopy
from drportal.recovery.world import SiteEnd, World, utc_now
from tests.contract.conftest import Site, becomes_true

ARRIVES_S = 90.0
CATCHES_UP_S = 180.0


class Handover:
    """``source`` is the side to leave, ``target`` the side to go to. ``vm_id``: a VM there that has the disk."""

    def __init__(
        self, ref: ImageRef, mode: MirrorMode, source: Site, target: Site, global_id: str, vm_id: int = 0
    ) -> None:
        self.ref, self.mode, self.source, self.target = ref, mode, source, target
        self.global_id, self.vm_id = global_id, vm_id
        image = ImageCopy(str(ref), ref.pool, ref.name, mode.value, global_id, 0, 0, ref.name, "OS", "vd")
        vm = VmCopy("vm", "vm", 1, vm_id, "trap", f"home/{vm_id}", 1, 1, "", utc_now(), (image,), ())
        ends = {site.description.name: _end(site) for site in (source, target)}
        here, there = source.description.name, target.description.name
        plan = PlanCopy(here, here, there, (vm,), {}, None)
        self.world = World(ends[here], ends[there], plan, Pace(), {}, {})

    @classmethod
    async def of(cls, ref: ImageRef, source: Site, target: Site, vm_id: int = 0) -> Handover:
        info = await source.ceph.info(ref)
        assert info.mode is not None
        assert info.global_id is not None
        return cls(ref, info.mode, source, target, info.global_id, vm_id)

    def back(self) -> Handover:
        """The same image, the other way."""
        return Handover(self.ref, self.mode, self.target, self.source, self.global_id)

    # --- the portal

    async def gate(
        self,
        gate: GateId,
        *,
        demoted_s_ago: float | None = None,
        demoted_by_us: bool = False,
        promote_sent: bool = False,
    ) -> GateResult:
        vm = self.world.plan.vms[0]
        keys = frozenset({str(self.ref)})
        subject = Subject(
            vm=vm,
            images=vm.images,
            here=self.world.target if gate is GateId.PROMOTED else self.world.source,
            primary_at=self.world.target,
            since=None if demoted_s_ago is None else utc_now() - dt.timedelta(seconds=demoted_s_ago),
            demoted_by_us=keys if demoted_by_us else frozenset(),
            promote_sent=keys if promote_sent else frozenset(),
        )
        return (await read_gate(gate, self.world, subject)).result

    async def becomes_met(self, gate: GateId, within_s: float) -> float:
        """Seconds until the gate was met."""
        said = ""

        async def met() -> bool:
            nonlocal said
            result = await self.gate(gate)
            said = result.sentence
            return result.met

        try:
            return await becomes_true(met, within_s, f"{gate} of {self.ref}")
        except BaseException:
            print(f"{gate} of {self.ref} said last: {said}")
            raise

    async def verdict(self) -> Verdict:
        """With the source as side A and home."""
        image = self.world.plan.vms[0].images[0]
        a, _ = await self.world.source.side(image, positions=True)
        b, _ = await self.world.target.side(image, positions=True)
        return verdict(a, b, VerdictPolicy(), utc_now(), home=Side.A)

    async def orderly(self) -> None:
        """What the portal does, gate by gate: at the end the target is primary with everything."""
        await self.becomes_met(GateId.PATH, CATCHES_UP_S)
        await self.becomes_met(GateId.SYNC, CATCHES_UP_S)
        assert (await self.demote()).exit_status == 0
        await self.becomes_met(GateId.DEMOTED, ARRIVES_S)
        assert (await self.promote()).exit_status == 0
        promoted = await self.gate(GateId.PROMOTED)
        assert promoted.met, promoted.sentence

    async def start_over(self) -> None:
        """The remedy that G-DEMOTED names: promote the source again, let the target catch up, then in order.

        Now and then real Ceph lets the target of such an interrupted move end in split-brain instead of catching up.
        Nothing is lost by that, since the source is primary and whole, and G-PATH stays shut; the way on is the one
        that the verdict names: discard the target's copy and copy again.
        """
        returned = await self.gate(GateId.RETURN, demoted_by_us=True)
        assert returned.met, returned.sentence
        assert (await self.back().promote()).exit_status == 0

        await self.follow_or_copy_again()
        await self.orderly()

    async def follow_or_copy_again(self) -> bool:
        """The source is primary: wait until the target follows; where it has diverged, discard and re-copy it, as both
        the gate and the verdict say. Returns whether that was needed.
        """

        async def decided() -> bool:
            # The path alone may still go by a status from before: positions that come together do not.
            follows = (await self.gate(GateId.PATH)).met and (await self.gate(GateId.SYNC)).met
            return follows or (await self.verdict()).code is VerdictCode.DIVERGED

        await becomes_true(decided, CATCHES_UP_S, f"{self.ref} follows again, or is seen to have diverged")
        if (await self.verdict()).code is not VerdictCode.DIVERGED:
            return False
        print(f"{self.ref} has diverged at the target")
        path = await self.gate(GateId.PATH)
        assert path.outcome is GateOutcome.NOT_MET
        assert path.remedy == DISCARD_TARGET
        assert await self.primaries() == (True, False), "the good copy is the primary one"
        assert (await _plain(self.target, "resync", self.ref)).exit_status == 0
        return True

    # --- a person at a shell

    async def demote(self) -> Answer:
        return await _plain(self.source, "demote", self.ref)

    async def promote(self) -> Answer:
        """At the target, without ``--force``."""
        return await _plain(self.target, "promote", self.ref)

    async def force_promote(self) -> Answer:
        """At the target, whatever the source is."""
        return await _plain(self.target, "promote", self.ref, "--force")

    async def primaries(self) -> tuple[bool | None, bool | None]:
        """What ``rbd info`` says at the source and at the target."""
        return (await self.source.ceph.info(self.ref)).primary, (await self.target.ceph.info(self.ref)).primary


async def _plain(site: Site, act: str, ref: ImageRef, *more: str) -> Answer:
    """Past the driver's reading of errors: exactly what a shell would show."""
    return await site.shell.act(["rbd", "mirror", "image", act, str(ref), *more])


def _end(site: Site) -> SiteEnd:
    return SiteEnd(
        site.description.name, site.description.name, site.description.ssh.host, site.ceph, site.cloud, Pace()
    )
