"""What of two looks at a silent site is another site, and what is only other words; and the loss said before."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from drportal.engine.evidence import (
    IMAGE_ROWS,
    LAST_WORDS_S,
    SITE_ROWS,
    Bound,
    Counts,
    differences,
    image_loss,
    moved,
    spread_s,
)

NOW = dt.datetime(2026, 1, 1, 12, 0, tzinfo=dt.UTC)
IMAGE = {
    "name": "one/x", "mode": "journal", "global_id": "g", "image_id": "i", "exists_here": True, "primary_here": False,
    "other_side_answers": False, "other_side_primary": None, "opened_by": [], "whole_copy": True,
    "replayed_position": "2.100", "newest_complete_snapshot": None, "copying_snapshots": [],
    "told_at": NOW.isoformat(), "status": "up+replaying", "entries_behind": 3, "verdict": "protected", "loss_s": None,
    "protected_until": NOW.isoformat(), "read_at": "12:00", "status_age_s": 4.0,
}  # fmt: skip


def after(seconds: float) -> str:
    return (NOW + dt.timedelta(seconds=seconds)).isoformat()


def look(image: dict[str, Any] | None = None, **site: Any) -> dict[str, Any]:
    ways = {"ssh": [False, after(0), ""], "ceph": [None, None, ""], "opennebula": [False, after(0), ""]}
    view = {"alive": False, "standing": "silent_for_both"}
    return {
        "source": "site-a", "taken_at": after(1), "lost_at": after(0), "source_reachable": ways, "second_view": view,
        "images": {"1": {**IMAGE, **(image or {})}}, **site,
    }  # fmt: skip


def found(then: dict[str, Any], now: dict[str, Any]) -> dict[str, bool]:
    """Field to whether its difference is material."""
    return {one.field: one.material for one in differences(then, now)}


def test_two_looks_that_say_the_same_have_no_difference_however_old() -> None:
    assert found(look(), look({"read_at": "12:05", "status_age_s": 300.0}, taken_at=after(300))) == {}


def test_what_a_mirror_daemon_says_when_it_has_lost_its_peer_moves_nothing() -> None:
    """As some 30 s after the loss: it tells once more how far it is, and forgets what it knew of its peer."""
    last_words = {
        "status": "up+error, ", "entries_behind": None, "whole_copy": None, "verdict": "replica_only", "loss_s": 12.0,
        "replayed_position": "2.140", "told_at": after(28),
    }  # fmt: skip
    seen = found(look(), look(last_words))
    assert set(seen) == set(last_words) - {"told_at"}
    assert not any(seen.values()), seen
    assert found(look(), look({"replayed_position": None, "told_at": None})) == {"replayed_position": False}


@pytest.mark.parametrize(
    ("field", "now"),
    [
        ("name", "one/y"), ("mode", "snapshot"), ("global_id", "h"), ("image_id", "j"), ("exists_here", None),
        ("primary_here", True), ("primary_here", None), ("other_side_answers", True), ("other_side_primary", True),
        ("other_side_primary", False), ("opened_by", ["client.7 at 10.0.0.9"]), ("whole_copy", False),
        ("replayed_position", "2.99"), ("replayed_position", "1.500"),
    ],
)  # fmt: skip
def test_what_is_another_image_another_role_or_another_s_hand_moves_it(field: str, now: Any) -> None:
    if field == "other_side_primary" and now is False:
        assert found(look(), look({field: now})) == {field: False}, "it can be no primary without answering"
        return
    assert found(look(), look({field: now})) == {field: True}


def test_who_opens_the_copy_moves_it_and_who_closes_it_or_was_a_mirror_daemon_does_not() -> None:
    dead, stranger = "client.4711 at 10.0.0.1:0/1", "client.7 at 10.0.0.9:0/2"
    then = {"mirroring": ["4711", "4109"], "opened_by": []}
    assert found(look(then), look({"opened_by": [dead]})) == {"opened_by": False}, "its watch of the pool ran out first"
    assert found(look(then), look({"opened_by": [dead, stranger]})) == {"opened_by": True}
    assert found(look({"opened_by": [stranger]}), look({"opened_by": []})) == {"opened_by": False}
    assert found(look({"opened_by": None}), look({"opened_by": [stranger]})) == {"opened_by": True}
    assert found(look({"opened_by": None}), look({"opened_by": []})) == {"opened_by": False}


def test_a_copy_that_goes_on_receiving_has_a_living_peer() -> None:
    assert (
        found(look(), look({"replayed_position": "2.140", "told_at": after(LAST_WORDS_S)}))["replayed_position"]
        is False
    )
    assert found(look(), look({"replayed_position": "2.140", "told_at": after(LAST_WORDS_S + 1)}))["replayed_position"]
    assert found(look(), look({"replayed_position": "2.140", "told_at": None}))["replayed_position"], (
        "no time: no excuse"
    )
    late = look(lost_at=None, taken_at=after(30))
    assert found(late, look({"replayed_position": "3.1", "told_at": after(95)}, lost_at=None))["replayed_position"]
    assert not found(late, look({"replayed_position": "3.1", "told_at": after(85)}, lost_at=None))["replayed_position"]


def test_a_snapshot_that_was_being_copied_may_be_whole_later_and_a_new_one_may_not() -> None:
    copying = {"mode": "snapshot", "replayed_position": None, "newest_complete_snapshot": 11, "copying_snapshots": [12]}
    finished = {**copying, "newest_complete_snapshot": 12, "copying_snapshots": []}
    assert found(look(copying), look(finished)) == {"newest_complete_snapshot": False}
    assert found(look(copying), look({**finished, "newest_complete_snapshot": 13})) == {
        "newest_complete_snapshot": True
    }
    assert found(look(copying), look({**copying, "newest_complete_snapshot": 10})) == {"newest_complete_snapshot": True}


@pytest.mark.parametrize("way", ["ssh", "ceph", "opennebula"])
def test_a_site_that_answers_again_moves_it_and_one_that_falls_silent_does_not(way: str) -> None:
    def ways(ok: bool | None) -> dict[str, Any]:
        return look(source_reachable={**look()["source_reachable"], way: [ok, after(0), ""]})

    assert found(ways(False), ways(True)) == {way: True}
    assert found(ways(None), ways(True)) == {way: True}
    assert found(ways(True), ways(False)) == {way: False}, "the poller found it out after the request"


def test_a_second_viewpoint_moves_it_only_where_it_sees_life() -> None:
    gone = look(second_view={"alive": False, "standing": "one_view"})
    assert found(look(), gone) == {"standing": False}
    alive = look(second_view={"alive": True, "standing": "portal_alone"})
    assert found(look(), alive) == {"seen_alive": True, "standing": False}
    (old,) = moved(differences({"images": {}, "source": "site-a"}, {**alive, "images": {}}))
    assert (old.subject, old.field) == ("site-a", "seen_alive")


def test_the_plan_s_version_and_the_commands_are_part_of_it() -> None:
    then, now = look(), look()
    assert differences(then, now, Bound(1, ("a",)), Bound(1, ("a",))) == ()
    assert [one.field for one in moved(differences(then, now, Bound(1, ("a",)), Bound(2, ("b",))))] == [
        "plan_version",
        "commands",
    ]


def test_an_image_more_or_less_moves_it() -> None:
    more = look()
    more["images"]["2"] = {**IMAGE, "name": "one/y"}
    (one,) = differences(look(), more)
    assert (one.subject, one.field, one.then, one.now, one.material) == ("one/y", "image", None, "one/y", True)
    (gone,) = differences(more, look())
    assert (gone.then, gone.now, gone.material) == ("one/y", None, True)


def test_the_table_has_each_field_once_and_says_why() -> None:
    for rows in (SITE_ROWS, IMAGE_ROWS):
        assert len({row.field for row in rows}) == len(rows)
        assert all(row.why for row in rows)
    assert {row.counts for row in (*SITE_ROWS, *IMAGE_ROWS)} == set(Counts)


def test_the_loss_is_said_as_a_bound_and_never_smaller_than_known() -> None:
    known = image_loss(NOW - dt.timedelta(seconds=40), NOW)
    assert known.seconds == 40
    assert "40 s before contact was lost" in known.sentence
    assert image_loss(None, NOW).seconds is None
    assert image_loss(NOW, None).seconds is None
    assert spread_s([NOW, NOW - dt.timedelta(seconds=9), NOW]) == 9
    assert spread_s([NOW, None]) is None
