"""Who drives a run: a lease by the database's clock, with a fencing number that goes up at each change of hands.

The holder also counts for itself: by its own monotonic clock a lease that could not be renewed in time is over, even
when the
database cannot be asked. So a process that was frozen finds itself out before it sends anything.
"""

from __future__ import annotations

import datetime as dt
import socket
import time
import uuid
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from drportal.engine.states import RunState
from drportal.recovery.models import Run

DRIVEN = (RunState.APPROVED.value, RunState.RUNNING.value, RunState.CANCELLING.value)


FENCES_OF_A_RUN = 1_000_000


class LeaseLost(Exception):
    """Somebody else drives the run now, or nobody knows who does.

    Nothing more may be sent or written by this executor.
    """


@dataclass(slots=True)
class Lease:
    """``good_until``: ``time.monotonic()`` until which the holder may believe in it, counted from *before* the
    renewal was sent.
    """

    run_id: int
    owner: str
    fence: int
    good_until: float = field(default=0.0)

    @property
    def site_fence(self) -> int:
        """The fencing number as the sites keep it, per group: it goes up with each lease of each run."""
        return self.run_id * FENCES_OF_A_RUN + self.fence

    def check(self) -> None:
        """Raises LeaseLost when the time is over by our own clock. Called right before anything is sent to a site."""
        if time.monotonic() >= self.good_until:
            raise LeaseLost(f"the lease of run {self.run_id} was not renewed in time; nothing more is sent")


def free_lease() -> Q:
    return Q(lease_until__isnull=True) | Q(lease_until__lt=Now())


def take(run_id: int, owner: str, lease_s: float) -> Lease | None:
    """The lease, with the next fencing number; None when the run is not to be driven or somebody holds it."""
    asked = time.monotonic()
    with transaction.atomic():
        runs = Run.objects.filter(free_lease(), pk=run_id, state__in=DRIVEN)
        taken = runs.update(fence=F("fence") + 1, lease_owner=owner, lease_until=Now() + dt.timedelta(seconds=lease_s))
        if not taken:
            return None
        fence = Run.objects.values_list("fence", flat=True).get(pk=run_id)
    return Lease(run_id, owner, fence, asked + lease_s)


def renew_here(lease: Lease, lease_s: float, *, news: bool) -> float:
    """Renew inside the caller's transaction; ``news`` moves the run's version.

    Returns the new ``good_until``. Raises LeaseLost.

    This is the fence: zero rows changed means that somebody else drives the run, and the caller's transaction must
    not be committed.
    """
    asked = time.monotonic()
    held = Run.objects.filter(pk=lease.run_id, fence=lease.fence, lease_owner=lease.owner)
    fields = {"lease_until": Now() + dt.timedelta(seconds=lease_s)}
    if not held.update(**fields, **({"version": F("version") + 1} if news else {})):
        raise LeaseLost(f"run {lease.run_id} is driven by somebody else now (our fencing number was {lease.fence})")
    return asked + lease_s


def owner_name(pid: int) -> str:
    """Begins with the process, so that whoever sees that process die knows whose leases are free."""
    return f"{owner_prefix(pid)}{uuid.uuid4().hex[:8]}"


def owner_prefix(pid: int) -> str:
    return f"{socket.gethostname()[:60]}:{pid}:"


def end_leases_of(pid: int) -> list[int]:
    """The runs whose executor was this process of this machine, which is known to be dead; their leases are ended."""
    held = Run.objects.filter(lease_owner__startswith=owner_prefix(pid), state__in=DRIVEN)
    runs = list(held.values_list("pk", flat=True))
    held.update(lease_owner="", lease_until=None)
    return runs
