"""The trail: rows that are only ever added, each carrying the hash of the one before."""

from __future__ import annotations

from django.db import models


class AuditEntry(models.Model):
    """One fact. ``seq`` has no gaps; ``hash`` covers every other field and the previous hash (docs/audit-format.md).

    The actor's name is copied as text, so that the entry outlives the account. Database triggers refuse UPDATE,
    DELETE and replacing.
    """

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField(db_index=True)  # never runs back: an entry is not older than the one before
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=300)
    site = models.CharField(max_length=60, null=True)  # noqa: DJ001  (null: not about one site; then not hashed)
    run_id = models.BigIntegerField(null=True)
    payload = models.JSONField()
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["seq"]
        # One per filter, each with the order of a page: the database walks it and stops when the page is full.
        indexes = [
            models.Index(fields=["actor", "seq"], name="audit_by_actor"),
            models.Index(fields=["action", "seq"], name="audit_by_action"),
            models.Index(fields=["site", "seq"], name="audit_by_site"),
            models.Index(fields=["run_id", "seq"], name="audit_by_run"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.subject}"


class TrailAnchor(models.Model):
    """A head that was noted outside the portal, or the attempt to. ``place`` as in ``DRPORTAL_ANCHORS``."""

    at = models.DateTimeField()
    place = models.CharField(max_length=300)
    seq = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    ok = models.BooleanField()
    sentence = models.TextField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["place", "-id"], name="anchor_of_place")]

    def __str__(self) -> str:
        return f"{self.seq} at {self.place}"
