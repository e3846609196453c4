"""Which copies of a group count after a disaster: by the portal's own records, whatever became of the run."""

from __future__ import annotations

from collections.abc import Iterable

from drportal.engine.plans import RunKind
from drportal.engine.states import RunState
from drportal.inventory.models import MirroredImage, Site
from drportal.recovery.made_primary import forced_by, made_primary
from drportal.recovery.models import ProtectionGroup, Run

CUT_SHORT = (RunState.ABORTED, RunState.FAILED, RunState.SUCCEEDED_WITH_EXCEPTIONS)


def peer_of(group: ProtectionGroup, site: Site) -> Site:
    return group.pair.b if site.pk == group.pair.a_id else group.pair.a


def survivor(group: ProtectionGroup) -> Site:
    """Where the forced copies are; else where the group is active. A run that was cut short may not have said so."""
    images = MirroredImage.objects.filter(disks__vm__membership__group=group).distinct()
    forced = {made.site_id for made in made_primary(_keys(images)).values() if made.forced}
    if len(forced) == 1 and group.active_site_id not in forced:
        return peer_of(group, group.active_site)
    return group.active_site


def cut_short(group: ProtectionGroup) -> Run | None:
    """The disaster failover that moved the group last and may have left some of it behind: it can be asked for again,
    the same way round."""
    last = Run.objects.filter(group=group, started_at__isnull=False).order_by("-pk").first()
    if last is None or last.kind != RunKind.DISASTER_FAILOVER or last.state not in CUT_SHORT:
        return None
    return last if forced_by(last.pk) else None


def _keys(images: Iterable[MirroredImage]) -> list[str]:
    return [str(image.pk) for image in images]
