"""What a returned copy holds that the survivor never had: measured once it is still, beside the bound given before.

A figure that could not be had is *not measurable*, with the reason; it is never nought.
"""

from __future__ import annotations

from dataclasses import dataclass

from drportal.engine.facts import Mode, SnapshotFacts


@dataclass(frozen=True, slots=True)
class ExactLoss:
    """``entries``: writes, in journal mode; ``why``: of one that is not measurable, else empty."""

    entries: int | None
    size_bytes: int | None
    how: str
    why: str = ""

    @property
    def measurable(self) -> bool:
        return not self.why


def measured(mode: Mode, entries: int | None, size_bytes: int, site: str, survivor: str) -> ExactLoss:
    if mode is Mode.JOURNAL:
        how = (
            f"rbd journal inspect at {site}: every write behind the last position that {survivor} had acknowledged. "
            f"What {survivor} had applied and not yet acknowledged is counted too."
        )
        return ExactLoss(entries, size_bytes, how)
    how = f"Blocks of 4 KiB that differ at {site} from its last mirror snapshot that was whole at {survivor}."
    return ExactLoss(None, size_bytes, how)


def not_measurable(why: str) -> ExactLoss:
    return ExactLoss(None, None, "", why)


def base_snapshot(kept: int | None, survivor: SnapshotFacts | None) -> int | None:
    """The returned copy's snapshot that was the last to be whole at the survivor: as the evidence kept it (a forced
    promotion takes the survivor's own record of it away: seen on 16.2.15), else as the survivor tells it still."""
    if kept is not None or survivor is None:
        return kept
    whole = [snap.primary_snap_id for snap in survivor.snaps if not snap.made_here and snap.complete is True]
    return whole[-1] if whole else None


def loss_sentence(loss: ExactLoss, site: str, survivor: str) -> str:
    if not loss.measurable:
        return f"Not measurable: {loss.why}"
    if not loss.size_bytes:
        return f"Nothing: {site} holds no write that {survivor} did not have."
    writes = "" if loss.entries is None else f"{loss.entries} {'write' if loss.entries == 1 else 'writes'}, "
    return f"{writes}{loss.size_bytes} bytes at {site} that {survivor} never had."
