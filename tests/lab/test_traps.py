"""The ways in which real Ceph loses data or misleads, each of which the lab must reproduce."""

from __future__ import annotations

import dataclasses
import itertools
import json

import pytest

from drportal.lab.embedded.copies import Role
from drportal.lab.embedded.pair import Refused
from tests.lab.conftest import Bench, MakeBench

J, S = "one-0-0-0", "one-9-9-0"
BEAT = 31.0
BOTH = pytest.mark.parametrize("name", [J, S])


async def positions_equal(bench: Bench, demoted_at: str, name: str = J) -> bool:
    """The exact test: does the peer's commit position equal the writer's own?"""
    status = json.loads(await bench.ok(demoted_at, f"journal status --pool one --image {name} --format json"))
    firsts = [client["commit_position"]["object_positions"][:1] for client in status["registered_clients"]]
    return bool(firsts[0]) and firsts[0] == firsts[1]


async def demotion_whole(bench: Bench, source: str, target: str) -> bool:
    theirs = json.loads(await bench.ok(source, f"snap ls --all one/{S} --format json"))
    ours = json.loads(await bench.ok(target, f"snap ls --all one/{S} --format json"))
    own = [snap["id"] for snap in theirs if snap["namespace"]["state"] == "demoted"][-1:]
    last = ours[-1]["namespace"]
    return last["state"] == "demoted" and last["complete"] and own == [last.get("primary_snap_id")]


async def status_of(bench: Bench, site: str, name: str) -> tuple[str, str]:
    status = json.loads(await bench.ok(site, f"mirror image status one/{name} --format json"))
    return status["state"], status["description"]


@BOTH
async def test_an_orderly_move_keeps_the_data_and_takes_seconds(bench: Bench, name: str) -> None:
    bench.fill("a", name, "payload")
    await bench.ok("a", f"mirror image demote one/{name}")
    took = await bench.until_promoted("b", name)
    assert 0.5 < took < 12
    assert bench.equal(name)


async def test_the_demotion_takes_three_to_eight_seconds_when_nothing_else_is_to_replay(bench: Bench) -> None:
    await bench.ok("a", f"mirror image demote one/{J}")
    assert 3.0 <= await bench.until_promoted("b", J) <= 8.5


@BOTH
async def test_abort_write_retry_loses_the_write_without_force(bench: Bench, name: str) -> None:
    await bench.ok("a", f"mirror image demote one/{name}")
    bench.wait(10)
    await bench.ok("a", f"mirror image promote one/{name}")
    bench.fill("a", name, "written after the abort")
    await bench.ok("a", f"mirror image demote one/{name}")
    assert name == S or not await positions_equal(bench, "a")
    assert (await bench.run("b", f"mirror image promote one/{name}")).exit_code == 0
    assert not bench.equal(name)
    bench.wait(2 * BEAT)
    assert (await status_of(bench, "a", name))[0] == "up+error"


async def test_after_an_abort_the_position_test_stays_false_until_repaired(bench: Bench) -> None:
    await bench.ok("a", f"mirror image demote one/{J}")
    bench.wait(10)
    assert await positions_equal(bench, "a")
    await bench.ok("a", f"mirror image promote one/{J}")
    bench.fill("a", J, "after")
    await bench.ok("a", f"mirror image demote one/{J}")
    bench.wait(300)
    assert not await positions_equal(bench, "a")
    await bench.ok("a", f"mirror image promote one/{J}")
    bench.wait(60)
    assert await positions_equal(bench, "a") and bench.equal(J)
    await bench.ok("a", f"mirror image demote one/{J}")
    bench.wait(10)
    assert await positions_equal(bench, "a")
    await bench.ok("b", f"mirror image promote one/{J}")
    assert bench.equal(J)


@BOTH
async def test_a_quick_failback_loses_the_write_and_then_makes_two_primaries(bench: Bench, name: str) -> None:
    bench.wait(6)
    await bench.ok("a", f"mirror image demote one/{name}")
    await bench.until_promoted("b", name)
    bench.fill("b", name, "written at b")
    await bench.ok("b", f"mirror image demote one/{name}")
    assert name == S or not await positions_equal(bench, "b")
    await bench.ok("a", f"mirror image promote one/{name}")
    assert not bench.equal(name)
    await bench.ok("b", f"mirror image promote one/{name}")
    assert bench.pair(name).copies["a"].role is bench.pair(name).copies["b"].role is Role.PRIMARY


async def test_a_side_that_was_away_for_many_snapshots_goes_on_from_the_one_that_it_has(bench: Bench) -> None:
    """Ceph unlinks the newest but one of too many, and keeps the first: a site that hung is not a split-brain."""
    bench.world.fail_site("b")
    for number in range(12):
        bench.fill("a", S, f"generation {number}")
        await bench.ok("a", f"mirror image snapshot one/{S}")
        bench.wait(5)
    kept = json.loads(await bench.ok("a", f"snap ls --all one/{S} --format json"))
    assert len(kept) <= 6, "five that count, and one older"
    bench.world.restore_site("b")
    bench.wait(4 * BEAT)
    assert (await status_of(bench, "b", S))[0] == "up+replaying"
    assert bench.equal(S)


async def copying(bench: Bench) -> object:
    """a is demoted, and b is in the middle of copying the demotion snapshot, slowly. Returns the new content."""
    bench.world.limit_replay("b", 50)
    bench.fill("a", S, "new generation")
    await bench.ok("a", f"mirror image demote one/{S}")
    bench.wait(8)
    assert (await newest(bench, "b"))["complete"] is False
    return bench.content("a", S)


async def newest(bench: Bench, site: str) -> dict[str, object]:
    """What the newest mirror snapshot there says of itself."""
    snaps: list[dict[str, dict[str, object]]] = json.loads(await bench.ok(site, f"snap ls --all one/{S} --format json"))
    return snaps[-1]["namespace"]


async def half_copied(bench: Bench) -> tuple[object, object]:
    """a is demoted, b has half of the demotion snapshot and its rbd-mirror is dead. Returns old and new content."""
    old = bench.content("b", S)
    bench.world.limit_replay("b", 50)
    bench.fill("a", S, "new generation")
    await bench.ok("a", f"mirror image demote one/{S}")
    bench.wait(8)
    assert (await bench.run("b", f"mirror image promote one/{S}")).exit_code == 30
    bench.world.kill_daemon("b")
    bench.world.limit_replay("b", None)
    return old, bench.content("a", S)


async def test_a_half_copied_demotion_snapshot_is_promoted_to_a_torn_disk(bench: Bench) -> None:
    old, new = await half_copied(bench)
    last = json.loads(await bench.ok("b", f"snap ls --all one/{S} --format json"))[-1]["namespace"]
    assert (last["state"], last["complete"]) == ("demoted", False)
    began = bench.clock.now
    await bench.ok("b", f"mirror image promote one/{S}")
    assert 20 < bench.clock.now - began <= 31, "the dead client's lock has to expire first"
    torn = bench.content("b", S)
    assert torn not in (old, new)
    bench.world.start_daemon("b")
    bench.wait(4 * BEAT)
    assert (await status_of(bench, "a", S))[0] == "up+replaying", "Ceph reports nothing"
    assert not bench.equal(S)


async def test_a_daemon_that_stands_still_in_the_middle_of_a_copy_goes_on_from_there(bench: Bench) -> None:
    """SIGSTOP and SIGCONT: while it stands, no byte is copied; afterwards only the rest is, by the same daemon."""
    new = await copying(bench)
    before = bench.world.sites["b"].daemon.service_id
    bench.world.hang_daemon("b")
    half = bench.pair(S).copy("b").replay
    assert half is not None and 0 < half.busy_done < half.busy_amount
    left_s = (half.busy_amount - half.busy_done) / 50
    bench.wait(20)
    assert (await newest(bench, "b"))["complete"] is False, "it stands still"
    assert bench.content("b", S) != new
    bench.world.thaw_daemon("b")
    bench.wait(left_s - 0.5)
    assert (await newest(bench, "b"))["complete"] is False, "the rest takes its time"
    bench.wait(1)
    assert await demotion_whole(bench, "a", "b")
    assert bench.content("b", S) == new
    assert bench.world.sites["b"].daemon.service_id == before
    await bench.ok("b", f"mirror image promote one/{S}")
    assert bench.equal(S)


async def test_a_daemon_let_go_in_slices_copies_in_slices(bench: Bench) -> None:
    await copying(bench)
    done = []
    for _ in range(20):
        bench.world.hang_daemon("b")
        bench.wait(1)
        replay = bench.pair(S).copy("b").replay
        assert replay is not None
        done.append(replay.busy_done)
        bench.world.thaw_daemon("b")
        bench.wait(0.1)
    assert [after - before for before, after in itertools.pairwise(done)] == pytest.approx([5.0] * 19, abs=0.001)


@BOTH
async def test_a_daemon_that_stood_still_beyond_its_beat_speaks_again_at_once(bench: Bench, name: str) -> None:
    bench.world.hang_daemon("b")
    bench.wait(3 * BEAT)
    assert (await status_of(bench, "b", name))[0].startswith("down+")
    bench.world.thaw_daemon("b")
    assert (await status_of(bench, "b", name))[0] == "up+replaying"
    bench.fill("a", name, "afterwards")
    await bench.ok("a", f"mirror image demote one/{name}")
    await bench.until_promoted("b", name)
    assert bench.equal(name)


async def test_a_first_copy_that_stood_still_takes_what_was_left(bench: Bench) -> None:
    await bench.ok("b", f"mirror image resync one/{J}")
    while not (J in bench.world.pairs and "b" in bench.pair(J).copies and bench.pair(J).copies["b"].syncing):
        bench.wait(0.05)
    left_s = bench.pair(J).copy("b").sync_until - bench.clock.now
    assert left_s > 0
    bench.world.hang_daemon("b")
    bench.wait(20)
    assert bench.pair(J).copy("b").syncing
    bench.world.thaw_daemon("b")
    assert bench.pair(J).copy("b").sync_until - bench.clock.now == pytest.approx(left_s)
    bench.wait(left_s + 0.1)
    assert not bench.pair(J).copy("b").syncing


async def test_a_daemon_that_was_killed_while_it_stood_still_stays_dead(bench: Bench) -> None:
    await copying(bench)
    bench.world.hang_daemon("b")
    bench.world.kill_daemon("b")
    bench.world.thaw_daemon("b")
    bench.wait(100)
    assert (await newest(bench, "b"))["complete"] is False
    assert not bench.world.daemon_works("b")


async def test_a_restarted_daemon_does_not_resume_the_demotion_snapshot(bench: Bench) -> None:
    await half_copied(bench)
    bench.world.start_daemon("b")
    bench.wait(100)
    for site in "ab":
        assert await status_of(bench, site, S) == ("up+unknown", "remote image is not primary")
    assert not await demotion_whole(bench, "a", "b")
    await bench.ok("b", f"mirror image promote one/{S}")
    assert not bench.equal(S)


async def test_promoting_the_source_again_repairs_the_half_copy(bench: Bench) -> None:
    await half_copied(bench)
    bench.world.start_daemon("b")
    await bench.ok("a", f"mirror image promote one/{S}")
    bench.wait(100)
    assert bench.equal(S)
    await bench.ok("a", f"mirror image demote one/{S}")
    bench.wait(10)
    assert await demotion_whole(bench, "a", "b")
    await bench.ok("b", f"mirror image promote one/{S}")
    assert bench.equal(S)


async def test_journal_mode_is_safe_under_the_same_fault(bench: Bench) -> None:
    bench.world.limit_replay("b", 50)
    bench.fill("a", J, "new generation")
    await bench.ok("a", f"mirror image demote one/{J}")
    bench.wait(8)
    bench.world.kill_daemon("b")
    bench.wait(60)
    assert (await bench.run("b", f"mirror image promote one/{J}")).exit_code == 16
    bench.world.start_daemon("b")
    bench.wait(60)
    assert await positions_equal(bench, "a")
    await bench.ok("b", f"mirror image promote one/{J}")
    assert bench.equal(J)


@BOTH
async def test_a_demoted_split_brain_copy_is_promoted_although_the_other_side_is_primary(
    bench: Bench, name: str
) -> None:
    bench.world.fail_site("a")
    bench.wait(40)
    await bench.ok("b", f"mirror image promote --force one/{name}")
    bench.world.restore_site("a")
    await bench.ok("a", f"mirror image demote one/{name}")
    bench.wait(3 * BEAT)
    assert (await status_of(bench, "a", name))[0] == "up+error"
    await bench.ok("a", f"mirror image promote one/{name}")
    assert bench.pair(name).copies["a"].role is bench.pair(name).copies["b"].role is Role.PRIMARY


async def test_force_keeps_what_was_replayed_and_loses_the_rest(bench: Bench) -> None:
    bench.fill("a", J, "replayed")
    bench.wait(15)
    replayed = bench.content("b", J)
    bench.fill("a", J, "too late")
    bench.wait(1)
    bench.world.fail_site("a")
    bench.wait(120)
    assert (await bench.run("b", f"mirror image promote one/{J}")).exit_code == 16
    await bench.ok("b", f"mirror image promote --force one/{J}")
    assert bench.content("b", J) == replayed
    assert (await status_of(bench, "b", J))[1].startswith("replaying"), "the text stays as long as the peer is dead"


async def test_force_in_snapshot_mode_falls_back_to_the_last_whole_snapshot(bench: Bench) -> None:
    await bench.ok("a", f"mirror image snapshot one/{S}")
    bench.wait(10)
    whole = bench.content("b", S)
    bench.fill("a", S, "never snapshotted")
    bench.wait(200)
    bench.world.fail_site("a")
    await bench.ok("b", f"mirror image promote --force one/{S}")
    assert bench.content("b", S) == whole


async def test_force_hangs_on_a_stuck_daemon_until_that_is_killed(bench: Bench) -> None:
    bench.world.hang_daemon("b")
    bench.wait(100)
    assert bench.pair(S).blocked_until("b", bench.clock.now, force=True) == float("inf")
    bench.world.kill_daemon("b")
    began = bench.clock.now
    await bench.ok("b", f"mirror image promote --force one/{S}")
    assert bench.clock.now - began <= 31


async def test_resync_is_an_order_that_waits_for_a_primary(bench: Bench) -> None:
    await bench.ok("a", f"mirror image demote one/{J}")
    bench.wait(20)
    await bench.ok("a", f"mirror image resync one/{J}")
    bench.wait(40)
    assert bench.pair(J).copy("a")
    await bench.ok("b", f"mirror image promote one/{J}")
    bench.wait(BEAT)
    with pytest.raises(Refused):
        bench.pair(J).copy("a")
    bench.wait(4 * BEAT)
    assert bench.equal(J)


@BOTH
async def test_resync_takes_about_a_minute_and_ends_equal(bench: Bench, name: str) -> None:
    before = bench.pair(name).copy("b").image_id
    await bench.ok("b", f"mirror image resync one/{name}")
    began, gone = bench.clock.now, False
    while True:
        bench.wait(1)
        try:
            copy = bench.pair(name).copy("b")
        except Refused:
            gone = True
            continue
        if gone and not copy.syncing and (await status_of(bench, "b", name))[0] == "up+replaying":
            break
        assert bench.clock.now < began + 150
    assert copy.image_id != before and bench.equal(name)


async def test_the_status_is_a_text_that_ages(bench: Bench) -> None:
    bench.pair(J).attach("a", "vm-1", "10.0.0.1", bench.clock.now)
    bench.wait(60)
    await status_of(bench, "b", J)
    while (bench.clock.now - bench.world.sites["b"].daemon.first_tick) % 30 > 1:
        bench.wait(0.5)
    texts = []
    for _ in range(12):
        texts.append(await status_of(bench, "b", J))
        bench.wait(2)
    assert len(set(texts)) == 1, "within one beat nothing changes, although a VM writes all the time"
    bench.wait(30)
    assert await status_of(bench, "b", J) != texts[0]


async def test_a_vm_makes_positions_move_and_they_settle_when_it_stops(bench: Bench) -> None:
    bench.pair(J).attach("a", "vm-1", "10.0.0.1", bench.clock.now)
    bench.wait(60)
    before = bench.pair(J).copy("a").log.length_at(bench.clock.now)
    bench.wait(60)
    assert bench.pair(J).copy("a").log.length_at(bench.clock.now) == before + 120
    assert not await positions_equal(bench, "a")
    bench.pair(J).detach("a", "vm-1", bench.clock.now)
    bench.wait(10)
    assert await positions_equal(bench, "a") and bench.equal(J)


async def test_demote_cuts_a_running_vm_off_without_a_word(bench: Bench) -> None:
    bench.pair(J).attach("a", "vm-1", "10.0.0.1", bench.clock.now)
    bench.wait(5)
    assert "watcher=10.0.0.1" in await bench.ok("a", f"status one/{J}")
    await bench.ok("a", f"mirror image demote one/{J}")
    length = bench.pair(J).copy("a").log.length_at(bench.clock.now)
    bench.wait(50)
    assert bench.pair(J).copy("a").log.length_at(bench.clock.now) == length
    assert "watcher=10.0.0.1" in await bench.ok("a", f"status one/{J}")
    with pytest.raises(Refused):
        bench.fill("a", J, "more")


async def test_a_slow_replay_falls_behind_and_catches_up(bench: Bench) -> None:
    bench.world.limit_replay("b", 10)
    bench.fill("a", J, "much")
    bench.wait(60)
    assert not bench.equal(J)
    text = (await status_of(bench, "b", J))[1]
    assert json.loads(text.removeprefix("replaying, "))["entries_behind_primary"] > 300
    bench.world.limit_replay("b", None)
    bench.wait(10)
    assert bench.equal(J)


async def test_pool_promote_does_what_it_can_and_counts(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-1", "one-2"), snapshot=())
    await bench.ok("a", "mirror image demote one/one-1")
    bench.wait(10)
    outcome = await bench.run("b", "mirror pool promote one")
    assert (outcome.exit_code, outcome.stdout) == (16, "Promoted 1 mirrored images\n")
    assert outcome.stderr == "rbd: failed to promote image one-2: (16) Device or resource busy\n"


async def test_removing_a_primary_image_removes_the_other_copy(bench: Bench) -> None:
    await bench.ok("a", f"rm one/{J}")
    bench.wait(5)
    for site in "ab":
        assert (await bench.run(site, f"info one/{J}")).exit_code == 2


async def test_the_schedule_makes_snapshots_and_their_number_stays_small(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.world.timing = dataclasses.replace(bench.world.timing, schedule_s=60.0)
    bench.fill("a", S, "scheduled")
    bench.wait(125)
    assert bench.equal(S)
    bench.world.kill_daemon("b")
    bench.wait(3600)
    assert 2 <= len(json.loads(await bench.ok("a", f"snap ls --all one/{S} --format json"))) <= 5


async def test_a_dead_cluster_answers_after_its_timeout(bench: Bench) -> None:
    bench.world.fail_site("a")
    began = bench.clock.now
    outcome = await bench.run("a", "--client-mount-timeout 5 --rados-mon-op-timeout 5 mirror pool status one")
    assert (outcome.exit_code, outcome.stderr) == (110, "rbd: couldn't connect to the cluster!\n")
    assert 5 <= bench.clock.now - began < 6
