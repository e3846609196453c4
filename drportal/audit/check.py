"""The portal's own check of its own trail: the same walk as a stranger's, over the database."""

from __future__ import annotations

from collections.abc import Mapping

from drportal.audit.models import AuditEntry
from drportal.audit.record import exported
from drportal.audit.verify import GENESIS, Verification, verify


def verify_database(anchors: Mapping[int, str] | None = None) -> Verification:
    """The whole chain."""
    return verify(exported(), anchors)


def verify_since(seq: int, digest: str) -> Verification:
    """What came after an entry whose number and hash are known. (0, GENESIS) is the whole chain.

    That entry itself must still be there, unchanged.
    """
    if seq:
        known = AuditEntry.objects.filter(seq=seq).values_list("hash", flat=True).first()
        if known != digest:
            gone = "is not there any more" if known is None else "has another hash now"
            said = f"Entry {seq}, whose hash was noted, {gone}. The trail was cut off or written anew."
            return Verification(False, 0, seq, digest, said)
    return verify(exported(first=seq + 1), None, (seq, digest))


def head() -> tuple[int, str]:
    """Number and hash of the newest entry; (0, GENESIS) of an empty trail."""
    return AuditEntry.objects.order_by("-seq").values_list("seq", "hash").first() or (0, GENESIS)
