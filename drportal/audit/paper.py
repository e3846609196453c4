"""What each report carries, so that it can be held against the trail: by whom and when it was made, and the trail's
head at that moment."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.utils import timezone
from ninja import Schema

from drportal.audit.check import head


class Made(Schema):
    """``head_seq`` and ``head_hash``: the newest entry of the trail then. A trail without it was cut or rewritten."""

    at: dt.datetime
    by: str
    portal: str
    head_seq: int
    head_hash: str


def made_by(name: str) -> Made:
    seq, digest = head()
    return Made(at=timezone.now(), by=name, portal=settings.VERSION, head_seq=seq, head_hash=digest)
