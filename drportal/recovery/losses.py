"""The loss of a disaster in rows: what was replicated last, by the evidence, and what was measured afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.exact_loss import ExactLoss
from drportal.events import publish
from drportal.inventory.models import Site
from drportal.recovery.models import Approval, MeasuredLoss, Quarantine, Run
from drportal.recovery.recorder import Change


def evidence_of(site: Site, image_keys: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Image key -> what the evidence in use said of it when it was last forced away from the site."""
    found: dict[str, dict[str, Any]] = {}
    keys = set(image_keys)
    runs = Quarantine.objects.filter(site=site, images__in=[int(key) for key in keys]).values_list("run_id", flat=True)
    later = Run.objects.filter(pk__in=runs).values_list("group_id", flat=True)
    rows = Approval.objects.filter(run__group__in=later, run__source_site=site, used_at__isnull=False)
    for approval in rows.select_related("evidence").order_by("pk"):
        # Of one that is primary already the evidence only says so: the one before it counts.
        images = approval.evidence.content["images"].items()
        found |= {key: image for key, image in images if key in keys and image.get("primary_here") is not True}
    return found


def kept(run_id: int, image_key: str, loss: ExactLoss, sentence: str) -> Change:
    """Within the step's probe: the newest figure of the run counts."""

    def change() -> None:
        run = Run.objects.select_related("source_site").get(pk=run_id)
        bound = evidence_of(run.source_site, [image_key]).get(image_key, {}).get("loss", "")
        fields = {
            "site": run.source_site, "entries": loss.entries, "size_bytes": loss.size_bytes, "how": loss.how,
            "why": loss.why, "sentence": sentence, "bound": bound, "measured_at": timezone.now(),
        }  # fmt: skip
        row, _ = MeasuredLoss.objects.update_or_create(run=run, image_id=int(image_key), defaults=fields)
        payload = {
            "image": str(row.image), "entries": loss.entries, "bytes": loss.size_bytes, "how": loss.how,
            "why": loss.why, "bound": bound,
        }  # fmt: skip
        record("loss.measured", str(row.image), payload, actor=run.requested_name, run_id=run.pk)
        publish(f"run:{run.pk}")

    return change


def newest_of(site: Site, image_keys: Iterable[str]) -> list[MeasuredLoss]:
    """The newest figure of each image at the site, of those whose quarantine is not over."""
    keys = [int(key) for key in image_keys]
    rows = MeasuredLoss.objects.filter(site=site, image__in=keys, image__quarantines__cleared_at=None)
    newest: dict[int, MeasuredLoss] = {}
    for row in rows.filter(image__quarantines__site=site).select_related("image").distinct():
        newest.setdefault(row.image_id, row)
    return sorted(newest.values(), key=lambda row: str(row.image))
