"""The poller's eye on sites that were lost: after each round, what a returned one's suspect copies and VMs do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping

from drportal.drivers.base import ImageRef
from drportal.drivers.names import is_good_name
from drportal.engine.facts import RoleFacts, Side
from drportal.engine.quarantine import SuspectImage, SuspectVm, outlook
from drportal.engine.verdicts import VerdictCode
from drportal.inventory.models import MirroredImage, Site, SitePair, VirtualMachine
from drportal.inventory.polling import RoundSeen
from drportal.inventory.reading import SiteReading
from drportal.recovery import quarantine
from drportal.recovery.models import Quarantine
from drportal.recovery.survivors import peer_of


class QuarantineWatch:
    """``Beside`` of the poller. Read-only at the sites."""

    def suspects(self, pair: SitePair) -> Mapping[Side, Collection[str]]:
        found: dict[Side, set[str]] = {}
        for row in _of_pair(pair):
            found.setdefault(_side(row, pair), set()).update(f"{image}" for image in row.images.all())
        return found

    def seen(self, one: RoundSeen) -> None:
        for row in _of_pair(one.pair):
            if quarantine.drop_those_never_forced(row, one.now):
                continue
            reading = one.readings.get(_side(row, one.pair))
            if reading is not None:
                quarantine.contact(row, _answers(reading), reading.asked_at)
            if row.contact_at is not None:
                self._look(row, one, row.contact_at)

    def _look(self, row: Quarantine, one: RoundSeen, contact_at: dt.datetime) -> None:
        side, survivor = _side(row, one.pair), peer_of(row.group, row.site)
        reading = one.readings.get(side)
        images = [_image(image, side, one, reading, contact_at) for image in row.images.all()]
        # A row whose VM is as it was keeps its time for a while: what this round read is of now all the same.
        since = None if reading is not None and reading.everything is not None else contact_at
        vms = [_vm(vm, row.site, survivor, since) for vm in _vms(row)]
        quarantine.looked(row, outlook(row.site.name, survivor.name, images, vms), one.now)


def _of_pair(pair: SitePair) -> list[Quarantine]:
    return [row for row in quarantine.open_quarantines() if row.group.pair_id == pair.pk]


def _side(row: Quarantine, pair: SitePair) -> Side:
    return Side.A if row.site_id == pair.a_id else Side.B


def _answers(reading: SiteReading) -> bool:
    """Something that holds disks or runs VMs: a host that only lets one log in is no site yet."""
    return reading.ceph.ok is True or reading.cloud.ok is True


def _image(
    image: MirroredImage, side: Side, one: RoundSeen, reading: SiteReading | None, contact_at: dt.datetime
) -> SuspectImage:
    sides = one.book.sides_of(image.pool, image.name)
    there = sides[side].role if side in sides else None
    here = next((facts.role for at, facts in sides.items() if at is not side), None)
    holders = None
    if reading is not None and is_good_name(image.pool) and is_good_name(image.name):
        watchers = reading.watchers.get(ImageRef(image.pool, image.name))
        holders = watchers.foreign if watchers is not None else None
    since = there if there is not None and there.read_at >= contact_at else None
    verdict = VerdictCode(image.verdict) if image.verdict in set(VerdictCode) else VerdictCode.CANNOT_TELL
    return SuspectImage(str(image.pk), str(image), _primary(since), here.primary if here else None, holders, verdict)


def _primary(role: RoleFacts | None) -> bool | None:
    """An image that is not there can't be written."""
    if role is None:
        return None
    return bool(role.primary) if role.exists else False


def _vms(row: Quarantine) -> list[VirtualMachine]:
    found = VirtualMachine.objects.filter(membership__group=row.group, disks__image__in=row.images.all())
    return list(found.distinct().prefetch_related("copies"))


def _vm(vm: VirtualMachine, site: Site, survivor: Site, since: dt.datetime | None) -> SuspectVm:
    """``since``: what was read before then says nothing; None: it was all just read."""
    there, here = _at(vm, site), _at(vm, survivor)
    if there is not None:
        phase = there.phase if since is None or there.read_at >= since else None
    else:
        phase = "gone" if site.opennebula_reachable else None
    word = there.state_word if there is not None else "GONE"
    return SuspectVm(str(vm.pk), vm.name, phase, word, here.phase if here else None)


def _at(vm: VirtualMachine, site: Site) -> VirtualMachine | None:
    """The VM at that site: itself at home, the newest of its copies elsewhere (or at home, where it was made anew)."""
    own = [vm] if vm.site_id == site.pk and vm.gone_at is None else []
    copies = [copy for copy in vm.copies.all() if copy.site_id == site.pk and copy.gone_at is None]
    found = [*own, *sorted(copies, key=lambda copy: -copy.pk)]
    return next((one for one in found if one.phase == "running"), found[0] if found else None)
