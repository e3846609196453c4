"""Rings for every run that should be driven and is not (its executor was killed, Redis lost the ring, or nobody was
there to hear it), and ends the requests for an approval or another policy that nobody decided in time.
"""

from __future__ import annotations

import logging
import time

from redis.exceptions import RedisError

from drportal import jobs
from drportal.recovery.lease import DRIVEN, free_lease
from drportal.recovery.models import Run
from drportal.recovery.services.approvals import approvals_expire
from drportal.recovery.services.policy import policies_expire
from drportal.settings import LEASE_S, SWEEP_INTERVAL_S

logger = logging.getLogger(__name__)
LOOK_S = 2.0


def abandoned() -> list[int]:
    """Runs that should be driven and whose lease nobody holds, by the database's clock."""
    return list(Run.objects.filter(free_lease(), state__in=DRIVEN).order_by("pk").values_list("pk", flat=True))


class Sweeper:
    """``sweep()`` is called every ``LOOK_S``.

    A run that has just been rung for is given ``patience_s`` to be taken up.
    """

    def __init__(self, patience_s: float = min(LEASE_S / 2, SWEEP_INTERVAL_S)) -> None:
        self.patience_s = patience_s
        self._rung: dict[int, float] = {}

    def sweep(self) -> list[int]:
        """The runs that were rung for."""
        approvals_expire()
        policies_expire()
        found = abandoned()
        self._rung = {run_id: at for run_id, at in self._rung.items() if run_id in found}
        if not found:
            return []
        try:
            waiting = jobs.waiting_runs()
        except RedisError as error:
            logger.warning("cannot see the queue, so nothing was rung for: %s", error)
            return []
        rung = []
        for run_id in found:
            since_s = time.monotonic() - self._rung.get(run_id, float("-inf"))
            if run_id in waiting or since_s < self.patience_s:
                continue
            if jobs.ring_for_run(run_id):
                logger.info("run %s is not driven by anybody: rang for an executor", run_id)
                self._rung[run_id] = time.monotonic()
                rung.append(run_id)
        return rung
