"""A copy that is made anew in the embedded lab tells how far it is as Ceph does, and the portal reads it."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace

import pytest

from drportal.drivers.ceph_parse import mirror_status
from drportal.engine.facts import SideFacts
from drportal.engine.recopy import CopyState, Recopy, percents_seen, recopy
from drportal.inventory.facts import status_facts
from tests.lab.conftest import JOURNAL_IMAGES, MIB, SNAPSHOT_IMAGE, Bench, MakeBench

TAKES_S = 160.0


async def looked_at(bench: Bench, name: str, side: SideFacts) -> SideFacts:
    """As the poller does. An image that is just taken away has no status."""
    now = dt.datetime.fromtimestamp(bench.clock.now, dt.UTC)
    outcome = await bench.run("b", f"mirror image status one/{name} --format json")
    if outcome.exit_code:
        return SideFacts(True)
    facts = status_facts(mirror_status(json.loads(outcome.stdout), now), now)
    return SideFacts(True, status=facts, copying=percents_seen(side.copying, facts))


@pytest.mark.parametrize("name", [JOURNAL_IMAGES[0], SNAPSHOT_IMAGE])
async def test_its_percents_rate_and_end_are_told_in_both_modes(make_bench: MakeBench, name: str) -> None:
    bench = make_bench()
    bench.world.timing = replace(bench.world.timing, sync_most_s=TAKES_S, sync_bytes_per_s=16 * MIB / TAKES_S)
    await bench.ok("b", f"mirror image resync one/{name}")
    side, told = SideFacts(True), list[Recopy]()
    for _ in range(60):
        bench.wait(5)
        side = await looked_at(bench, name, side)
        found = recopy(side, 16 * MIB, dt.datetime.fromtimestamp(bench.clock.now, dt.UTC))
        if found is not None:
            told.append(found)
    assert side.status is not None
    assert side.status.caught_up_once, "it is whole at the end, and there is no copy to tell of any more"
    assert recopy(side, 16 * MIB, dt.datetime.fromtimestamp(bench.clock.now, dt.UTC)) is None
    copied = [one.copied_bytes for one in told if one.copied_bytes is not None]
    assert copied == sorted(copied)
    assert len(set(copied)) >= 4, "a tick every 30 s"
    rated = [one for one in told if one.state is CopyState.COPYING and one.bytes_per_second is not None]
    assert rated, "how fast it is shows from two ticks on"
    assert all(one.bytes_per_second == pytest.approx(16 * MIB / TAKES_S, rel=0.35) for one in rated)
    ends = [one.eta_s for one in rated if one.eta_s is not None]
    assert max(ends) <= 1.5 * TAKES_S
