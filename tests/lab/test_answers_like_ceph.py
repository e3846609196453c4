"""The lab in the state of each capture answers as real Ceph 16.2.15 did: exit code, words, keys, order."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tests.lab.conftest import Bench, MakeBench
from tests.lab.fixture_files import captured, log_lines, masked, shape

ALL_SETTLED = 75.0
JUST_AFTER_A_BEAT = 6.0


async def same(bench: Bench, state: str, names: Iterable[str]) -> None:
    """Ask what was asked for each file and compare; JSON and plain text each have their file."""
    for name in names:
        want = captured(state)[name]
        got = await bench.run(want.site, want.command)
        assert got.exit_code == want.exit_code, f"{state}/{name}: {got}"
        assert log_lines(got.stderr) == log_lines(want.stderr), f"{state}/{name}"
        if want.is_json and want.stdout.strip():
            assert shape(json.loads(got.stdout)) == shape(json.loads(want.stdout)), f"{state}/{name}"
        else:
            assert masked(got.stdout) == masked(want.stdout), f"{state}/{name}"


def both(stem: str) -> list[str]:
    return [f"{stem}.json", f"{stem}.txt"]


def images(number: str = "", names: Iterable[str] = ("one-0-0-0", "one-9-9-0"), sites: str = "ab") -> list[str]:
    """Status and info of these images on both sites, in the capture's `number`th round ("" is the first)."""
    stems = [
        f"{site}--{what}-{name}{number}" for site in sites for name in names for what in ("mirror-image-status", "info")
    ]
    return [file for stem in stems for file in both(stem)]


async def test_it_answers_every_read_of_the_healthy_state(bench: Bench) -> None:
    bench.fill("a", "one-0-0-0", "any")
    bench.wait(ALL_SETTLED)
    skipped = ("journal-info", "lock-ls")  # the portal has no use for these two
    await same(
        bench, "01-healthy", [name for name in captured("01-healthy") if not any(word in name for word in skipped)]
    )


async def test_it_answers_for_an_image_that_is_not_mirrored(bench: Bench) -> None:
    await bench.ok("a", "create one/one-42 --size 4M")
    names = [f"a--mirror-image-{verb}-one-42.txt" for verb in ("promote", "demote", "resync", "status")]
    names += [f"a--mirror-image-{verb}-no-such-image.txt" for verb in ("promote", "demote", "resync", "status")]
    await same(bench, "40-default-logging", names)


async def test_it_enables_and_disables_as_ceph_does(bench: Bench) -> None:
    await bench.ok("a", "create one/one-7 --size 4M")
    stem = "a--mirror-image"
    await same(
        bench,
        "02-mirroring-disabled",
        [f"{stem}-{verb}-one-7.txt" for verb in ("promote", "promote-force", "demote", "resync", "snapshot", "status")],
    )
    await same(
        bench, "02-mirroring-disabled", [f"{stem}-enable-one-7-journal.txt", f"{stem}-enable-one-7-journal.2.txt"]
    )
    await same(bench, "02-mirroring-disabled", [f"{stem}-enable-one-7-snapshot.txt"])
    bench.wait(ALL_SETTLED)
    await same(
        bench,
        "02-mirroring-disabled",
        ["b--mirror-image-disable-one-7.txt", f"{stem}-disable-one-7.txt", f"{stem}-disable-one-7.2.txt"],
    )
    bench.wait(3)
    await same(bench, "02-mirroring-disabled", both("b--mirror-image-status-one-7"))


async def test_it_refuses_the_wrong_command_with_cephs_words(bench: Bench) -> None:
    wanted = ("promote", "demote", "resync", "mirror-image-status", "mirror-pool-status", "rm-one-0-0-0")
    names = [name for name in captured("12-wrong-state") if any(word in name for word in wanted)]
    assert len(names) > 12
    await same(bench, "12-wrong-state", names)


async def test_it_refuses_the_published_typing_errors(bench: Bench) -> None:
    await same(bench, "11-seed-literal", [name for name in captured("11-seed-literal") if name.endswith(".txt")])


async def test_it_logs_the_cause_with_default_logging(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-0-0-0", "one-1"), logging=True)
    await same(
        bench,
        "40-default-logging",
        [
            "b--mirror-image-promote-one-0-0-0.txt",
            "a--mirror-image-promote-one-0-0-0.txt",
            "b--mirror-image-demote-one-0-0-0.txt",
            "a--mirror-image-resync-one-0-0-0.txt",
            "b--mirror-image-disable-one-0-0-0.txt",
            "b--mirror-image-snapshot-one-0-0-0.txt",
            "b--mirror-image-promote-one-9-9-0.txt",
            "a--mirror-image-promote-one-9-9-0.txt",
            "b--mirror-image-demote-one-9-9-0.txt",
            "a--mirror-image-resync-one-9-9-0.txt",
            "b--mirror-image-disable-one-9-9-0.txt",
            "b--mirror-image-snapshot-one-9-9-0.txt",
            "a--mirror-image-enable-one-0-0-0-snapshot.txt",
            "b--mirror-pool-demote-one.txt",
            "b--mirror-pool-promote-one.txt",
        ],
    )


async def test_a_planned_failover_shows_the_states_ceph_showed(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-0-0-0", "one-1"))
    bench.wait(JUST_AFTER_A_BEAT)
    await same(bench, "13-planned-demoted", ["a--mirror-pool-demote-one.txt"])
    bench.wait(1.5)
    await same(
        bench,
        "13-planned-demoted",
        images() + both("a--mirror-pool-status-one-verbose") + both("b--mirror-pool-status-one-verbose"),
    )
    for name in ("one-0-0-0", "one-1", "one-9-9-0"):
        await bench.until_promoted("b", name)
    await same(bench, "15-planned-promoted", images() + both("a--mirror-pool-status-one-verbose"))
    bench.wait(32)
    await same(bench, "16-planned-settled", images() + both("b--mirror-pool-status-one-verbose"))


async def test_both_demoted_settles_as_ceph_did(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-0-0-0", "one-1"))
    bench.wait(JUST_AFTER_A_BEAT)
    await bench.ok("a", "mirror pool demote one")
    bench.wait(1.5)
    await same(bench, "18-both-demoted", images("", ("one-9-9-0",)))
    bench.wait(10)
    await same(bench, "18-both-demoted", images(".3"))
    bench.wait(30)
    await same(bench, "18-both-demoted", images(".4") + both("a--mirror-pool-status-one-verbose.4"))


async def test_a_dead_peer_is_shown_late_and_the_own_text_stays(bench: Bench) -> None:
    bench.world.fail_site("a")
    await same(bench, "20-a-dead", images("", ("one-1", "one-9-9-0"), "b")[:2])
    bench.wait(75)
    await same(bench, "20-a-dead", both("b--mirror-image-status-one-1.3") + both("b--mirror-image-status-one-9-9-0.3"))


async def test_a_forced_promotion_keeps_an_old_status_and_two_primaries_look_healthy(bench: Bench) -> None:
    bench.world.fail_site("a")
    bench.wait(75)
    await same(
        bench,
        "21-force-promoted",
        ["b--mirror-image-promote-force-one-0-0-0.txt", "b--mirror-image-promote-force-one-0-0-0.2.txt"],
    )
    bench.world.kill_daemon("b")
    bench.wait(60)
    status = json.loads(await bench.ok("b", "mirror image status one/one-0-0-0 --format json"))
    assert status["state"] == "down+replaying"
    bench.world.restore_site("a")
    bench.world.start_daemon("b")
    bench.wait(ALL_SETTLED)
    for site in "ab":
        status = json.loads(await bench.ok(site, "mirror image status one/one-0-0-0 --format json"))
        assert (status["state"], status["description"]) == ("up+stopped", "local image is primary")
        assert json.loads(await bench.ok(site, "info one/one-0-0-0 --format json"))["mirroring"]["primary"] is True


async def after_disaster(bench: Bench) -> None:
    """b was promoted by force while a was dead; a is back and demoted a moment ago."""
    bench.world.fail_site("a")
    bench.wait(75)
    for name in ("one-0-0-0", "one-1", "one-9-9-0"):
        await bench.ok("b", f"mirror image promote --force one/{name}")
    bench.world.restore_site("a")
    bench.wait(ALL_SETTLED)
    await bench.ok("a", "mirror pool demote one")


async def test_a_demoted_loser_shows_split_brain_and_resync_deletes_first(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-0-0-0", "one-1"))
    await after_disaster(bench)
    bench.wait(35)
    await same(bench, "23-a-demoted", images(".2"))
    await same(bench, "24-resync", ["a--mirror-image-resync-one-1.txt", "a--mirror-image-resync-one-9-9-0.txt"])
    await same(bench, "24-resync", both("a--info-one-1"))
    bench.wait(30)
    await same(bench, "24-resync", both("a--mirror-image-status-one-1.3") + both("a--info-one-9-9-0.3"))
    bench.wait(100)
    await same(bench, "25-resynced", both("a--mirror-image-status-one-9-9-0") + both("b--mirror-image-status-one-1"))
    assert bench.equal("one-1") and bench.equal("one-9-9-0")


async def test_a_dead_rbd_mirror_is_noticed_after_half_a_minute(bench: Bench) -> None:
    await bench.ok("a", "create one/one-3 --size 8M")
    await bench.ok("a", "mirror image enable one/one-3 journal")
    bench.wait(ALL_SETTLED)
    bench.world.kill_daemon("b")
    bench.wait(5)
    await same(bench, "31-rbd-mirror-down", images(".2", ("one-3",)))
    bench.wait(35)
    await same(bench, "31-rbd-mirror-down", images(".3", ("one-3",)))
    bench.wait(30)
    summary = json.loads(await bench.ok("b", "mirror pool status one --verbose --format json"))
    assert (summary["summary"]["daemon_health"], summary["daemons"]) == ("UNKNOWN", [])
    await same(bench, "31-rbd-mirror-down", ["a--mirror-image-demote-one-3.txt", "b--mirror-image-promote-one-3.txt"])


async def test_the_only_copy_may_be_a_demoted_one(bench: Bench) -> None:
    """Resync deletes b's copy; a is demoted before it is back: nobody is primary and there is one copy."""
    await bench.ok("b", "mirror image resync one/one-0-0-0")
    while "one-0-0-0" in await bench.ok("b", "ls one"):
        bench.wait(1)
    await bench.ok("a", "mirror image demote one/one-0-0-0")
    bench.wait(ALL_SETTLED)
    await same(bench, "33-lost-copy", captured("33-lost-copy"))


async def test_journal_positions_are_those_of_the_captures(make_bench: MakeBench) -> None:
    bench = make_bench(journal=("one-0-0-0",), snapshot=())

    async def look(site: str, name: str) -> None:
        await same(bench, "41-journal-positions", both(f"{site}--journal-status-pool-one-image-one-0-0-0{name}"))

    bench.fill("a", "one-0-0-0", "x")
    bench.wait(20)
    await look("a", "")
    bench.fill("a", "one-0-0-0", "y")
    await bench.ok("a", "mirror image demote one/one-0-0-0")
    await look("a", ".2")
    bench.wait(20)
    await look("a", ".3")
    await bench.ok("b", "mirror image promote one/one-0-0-0")
    await look("b", "")
    bench.wait(ALL_SETTLED)
    await look("b", ".2")


async def test_a_demotion_snapshot_is_listed_as_in_the_capture(make_bench: MakeBench) -> None:
    bench = make_bench(journal=())
    await bench.ok("a", "mirror image demote one/one-9-9-0")
    bench.wait(10)
    await same(bench, "19-snapshot-mode-demoted", both("b--snap-ls-all-one-9-9-0"))
    await bench.ok("b", "mirror image promote one/one-9-9-0")
    await same(bench, "19-snapshot-mode-demoted", both("b--snap-ls-all-one-9-9-0.2"))
