from __future__ import annotations

import datetime as dt
import json

import pytest

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import ImageRef, JournalPosition, MirrorMode
from drportal.drivers.errors import Reason, Refused
from tests.drivers.ceph_fixtures import Recorded, answer, load, recorded

SITE_NOW = dt.datetime(2026, 11, 23, 2, 30, tzinfo=dt.timezone(dt.timedelta(hours=1)))
READS = [row for row in recorded() if row.file.endswith(".json") and row.exit_status == 0]


def of_command(*words: str) -> list[Recorded]:
    return [row for row in READS if f" {' '.join(words)} " in f" {row.command} "]


def test_the_recorded_answers_are_all_there() -> None:
    assert len(READS) > 400
    assert len(of_command("info")) > 150
    assert len(of_command("mirror image status")) > 150


@pytest.mark.parametrize("row", of_command("info"), ids=str)
def test_every_recorded_info_parses(row: Recorded) -> None:
    if "mirror pool info" in row.command or "journal info" in row.command:
        return
    data = json.loads(row.answer().stdout)
    read = parse.info(ImageRef("one", data["name"]), row.answer())
    assert read.primary is data.get("mirroring", {}).get("primary")
    assert read.size_bytes == data["size"]
    assert (read.mode is None) == (data.get("mirroring", {}).get("state", "disabled") == "disabled")
    assert (read.mode is None) == (read.primary is None) == (read.global_id is None)
    assert (read.parent is None) == ("parent" not in data)


@pytest.mark.parametrize("row", of_command("mirror image status"), ids=str)
def test_every_recorded_image_status_parses(row: Recorded) -> None:
    read = parse.status(row.answer(), SITE_NOW)
    assert read.state and read.description and read.global_id
    assert (read.replay is not None) == ("{" in read.description)
    assert (read.age_s is None) == (read.last_update_text == "")


@pytest.mark.parametrize("row", of_command("mirror pool status"), ids=str)
def test_every_recorded_pool_status_parses(row: Recorded) -> None:
    data = json.loads(row.answer().stdout)
    health, _, daemons = parse.pool_health(data)
    assert health in ("OK", "WARNING", "ERROR", "UNKNOWN")
    assert len(daemons) == len(data.get("daemons", []))
    statuses = parse.pool_statuses(data, SITE_NOW)
    assert set(statuses) == {entry["name"] for entry in data.get("images", [])}


@pytest.mark.parametrize("row", of_command("journal status"), ids=str)
def test_every_recorded_journal_status_parses(row: Recorded) -> None:
    read = parse.journal(ImageRef("one", "x"), row.answer())
    assert "" in {client.client_id for client in read.clients}


@pytest.mark.parametrize("row", of_command("snap ls --all"), ids=str)
def test_every_recorded_snapshot_list_parses(row: Recorded) -> None:
    read = parse.snapshots(ImageRef("one", "x"), row.answer())
    ids = [snapshot.snap_id for snapshot in read.mirror_snapshots]
    assert ids == sorted(ids) and ids


@pytest.mark.parametrize("row", [row for row in of_command("ls -l")], ids=str)
def test_every_recorded_image_list_parses(row: Recorded) -> None:
    names, parents = parse.image_list(json.loads(row.answer().stdout))
    assert len(set(names)) == len(names), "a row of a snapshot was taken for an image"
    assert set(parents) <= set(names)


@pytest.mark.parametrize("row", of_command("mirror pool info"), ids=str)
def test_every_recorded_pool_info_parses(row: Recorded) -> None:
    mode, site_name, peers = parse.pool_info(json.loads(row.answer().stdout))
    assert mode in ("image", "pool")
    assert site_name in ("site-a", "site-b")
    assert {peer.site_name for peer in peers} == {"site-a", "site-b"} - {site_name}
    assert {peer.direction for peer in peers} == {"rx-tx"}


@pytest.mark.parametrize("row", of_command("rbd status"), ids=str)
def test_every_recorded_list_of_watchers_parses(row: Recorded) -> None:
    read = parse.watchers(ImageRef("one", "x"), row.answer())
    assert len(read.watchers) == len(json.loads(row.answer().stdout).get("watchers", []))


def test_no_recorded_answer_is_left_unread() -> None:
    """What the portal never asks is named here; anything else has a test above."""
    read = (
        "info",
        "mirror image status",
        "mirror pool status",
        "journal status",
        "snap ls --all",
        "ls -l",
        "rbd status",
    )
    never_asked = ("lock ls", "rbd ls one", "journal info", "children")
    claimed = {str(row) for words in (*read, *never_asked) for row in of_command(*words.split())}
    assert {str(row) for row in READS} == claimed
    assert all(of_command(*words.split()) for words in never_asked), "one is there no longer"


def test_a_clone_names_its_parent() -> None:
    rows = [row for row in of_command("ls -l") if row.state == "30-clone"]
    parents = [parse.image_list(json.loads(row.answer().stdout))[1] for row in rows]
    assert {"one-60-70-0": "one/one-60@snap"}.items() <= parents[0].items()


def test_a_replaying_image_shows_its_positions() -> None:
    read = parse.status(load("01-healthy/b--mirror-image-status-one-0-0-0.json"), None)
    assert (read.state, read.entries_behind, read.bytes_per_second, read.syncing) == ("up+replaying", 0, 17.5, False)
    assert read.age_s is None


def test_the_age_is_measured_by_the_clock_of_the_site_in_its_own_zone() -> None:
    site_now = parse.site_clock(answer("2026-11-23T02:51:23+0200\n"))
    assert parse.age_s("2026-11-23 02:50:53", site_now) == 30.0
    assert parse.age_s("2026-11-23 02:51:53", site_now) == -30.0
    assert parse.age_s("", site_now) is None
    assert parse.age_s("yesterday", site_now) is None


@pytest.mark.parametrize("text", ["", "Mon Nov 23", "2026-13-40T00:00:00+0000\n", "2026-11-23T02:51:23\n"])
def test_a_clock_that_is_not_one_is_none(text: str) -> None:
    assert parse.site_clock(answer(text)) is None


@pytest.mark.parametrize(
    ("file", "percent", "rate"),
    [
        ("05-syncing/b--mirror-image-status-one-32.3.json", 38, None),
        ("05-syncing/b--mirror-image-status-one-33.4.json", 21, 25965363.2),
        ("01-healthy/b--mirror-image-status-one-9-9-0.json", None, 0.0),
        ("05-syncing/b--mirror-image-status-one-31.2.json", None, None),
    ],
)
def test_how_far_a_first_copy_is_and_no_end_where_ceph_knows_none(
    file: str, percent: int | None, rate: float | None
) -> None:
    read = parse.status(load(file), None)
    assert (read.copied_percent, read.bytes_per_second) == (percent, rate)
    assert read.seconds_until_synced is None or percent is None, "0 s, Ceph says of a first snapshot"


def test_a_later_snapshot_that_is_copied_is_no_copy_made_anew() -> None:
    words = {"replay_state": "syncing", "syncing_percent": 40, "local_snapshot_timestamp": 7, "bytes_per_snapshot": 9.0}
    said = {"name": "x", "global_id": "g", "state": "up+replaying", "description": f"replaying, {json.dumps(words)}"}
    assert parse.mirror_status(said, None).copied_percent is None


def test_the_first_copy_is_syncing_in_both_modes() -> None:
    words = set()
    for row in of_command("mirror pool status"):
        if row.state == "05-syncing":
            for status in parse.pool_statuses(json.loads(row.answer().stdout), None).values():
                words.add((status.syncing, status.state))
    assert (True, "up+syncing") in words
    assert (True, "up+replaying") in words, "snapshot mode hides the first copy in replay_state"


def test_the_journal_tells_how_far_each_side_has_committed() -> None:
    ref = ImageRef("one", "one-0-0-0")
    read = parse.journal(ref, load("01-healthy/a--journal-status-pool-one-image-one-0-0-0.json"))
    assert [client.client_id for client in read.clients] == ["", "1db7769e-c315-4498-9e36-169301f91488"]
    assert read.clients[0].position == JournalPosition(2, 1028, 0) == read.clients[1].position


def test_a_mirror_snapshot_says_whether_it_is_whole_and_of_what() -> None:
    ref = ImageRef("one", "one-9-9-0")
    read = parse.snapshots(ref, load("19-snapshot-mode-demoted/b--snap-ls-all-one-9-9-0.2.json"))
    demoted, own = read.mirror_snapshots
    assert (demoted.state, demoted.complete, demoted.primary_snap_id, demoted.on_primary) == (
        "demoted",
        True,
        24,
        False,
    )
    assert (own.state, own.on_primary, own.primary_snap_id) == ("primary", True, None)


def test_a_snapshot_of_a_user_is_kept_apart() -> None:
    listing = [{"id": 4, "name": "snap", "size": 1, "namespace": {"type": "user"}}, {"id": 5, "name": "old", "size": 1}]
    read = parse.snapshots(ImageRef("one", "x"), answer(json.dumps(listing)))
    assert read.other_names == ("snap", "old")
    assert read.mirror_snapshots == ()


def test_watchers_are_listed() -> None:
    read = parse.watchers(ImageRef("one", "one-0-0-0"), load("01-healthy/b--status-one-0-0-0.json"))
    assert [watcher.client for watcher in read.watchers] == ["4113"]


def test_the_mirror_daemons_of_a_pool_are_told_by_their_clients() -> None:
    text = "watcher=127.0.0.1:0/39 client.4109 cookie=94\nwatcher=127.0.0.1:0/42 client.4111 cookie=95\n"
    assert parse.mirror_clients("one", answer(text)).clients == {"4109", "4111"}
    assert parse.mirror_clients("one", answer("")).clients == frozenset()
    with pytest.raises(Refused) as refused:
        parse.mirror_clients("one", answer("watcher=somewhere else"))
    assert refused.value.reason is Reason.UNREADABLE


def test_the_modes_of_the_two_kinds_of_mirroring() -> None:
    journal = parse.info(ImageRef("one", "one-0-0-0"), load("01-healthy/a--info-one-0-0-0.json"))
    snapshot = parse.info(ImageRef("one", "one-9-9-0"), load("01-healthy/b--info-one-9-9-0.json"))
    assert (journal.mode, journal.primary) == (MirrorMode.JOURNAL, True)
    assert (snapshot.mode, snapshot.primary) == (MirrorMode.SNAPSHOT, False)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"name":"one-0-0-0"}', '{"name":"one-0-0-0","id":"1","size":"big"}', "not json"]
)
def test_an_answer_that_does_not_fit_is_unreadable(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse.info(ImageRef("one", "one-0-0-0"), answer(text))
    assert caught.value.reason is Reason.UNREADABLE


def test_a_truncated_answer_is_unreadable_and_not_half_believed() -> None:
    whole = load("01-healthy/a--info-one-0-0-0.json").stdout
    for cut in range(0, len(whole) - 3, 7):
        with pytest.raises(Refused):
            parse.info(ImageRef("one", "one-0-0-0"), answer(whole[:cut]))


def test_an_answer_about_another_image_is_not_believed() -> None:
    with pytest.raises(Refused, match="one-1"):
        parse.info(ImageRef("one", "one-1"), load("01-healthy/a--info-one-0-0-0.json"))


def test_a_primary_flag_that_is_no_flag_is_not_believed() -> None:
    data = json.loads(load("01-healthy/a--info-one-0-0-0.json").stdout)
    data["mirroring"]["primary"] = "false"
    with pytest.raises(Refused):
        parse.info(ImageRef("one", "one-0-0-0"), answer(json.dumps(data)))


def test_the_version_is_read() -> None:
    assert parse.version(answer("ceph version 16.2.15 (618f440892089921c3e944a991122ddc44e60516) pacific (stable)\n"))
    with pytest.raises(Refused):
        parse.version(answer("bash: rbd: command not found"))
