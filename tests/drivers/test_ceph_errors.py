from __future__ import annotations

import pytest

from drportal.drivers.ceph_errors import raise_for_act, raise_for_read
from drportal.drivers.errors import AlreadySo, DriverError, OutcomeUnknown, Reason, Refused, Unreachable
from tests.drivers.ceph_fixtures import Recorded, answer, recorded


def act_of(row: Recorded) -> str | None:
    for act in ("demote", "promote"):
        if f"rbd mirror image {act} one/" in row.command:
            return act
    return None


ACTS = [row for row in recorded() if act_of(row)]
READS = [
    row
    for row in recorded()
    if row.exit_status
    and any(f"rbd {verb}" in row.command for verb in ("info", "mirror image status", "mirror pool status"))
]


def meaning(error: DriverError | None) -> str:
    if isinstance(error, Refused):
        return f"refused {error.reason.value}"
    return "done" if error is None else type(error).__name__


def meaning_of_act(row: Recorded) -> str:
    act = act_of(row)
    assert act
    try:
        raise_for_act(row.answer(), act)
    except DriverError as error:
        return meaning(error)
    return "done"


EXPECTED_BY_EXIT = {
    ("promote", 0): {"done"},
    ("demote", 0): {"done"},
    ("promote", 2): {"refused not_found"},
    ("demote", 2): {"refused not_found"},
    ("promote", 16): {"refused demotion_not_arrived"},
    ("promote", 22): {"AlreadySo", "refused not_mirrored", "refused other"},
    ("demote", 22): {"AlreadySo", "refused not_mirrored", "refused other"},
    ("promote", 110): {"Unreachable"},
    ("promote", 124): {"OutcomeUnknown"},
    ("promote", None): {"OutcomeUnknown"},
}


@pytest.mark.parametrize("row", ACTS, ids=str)
def test_every_recorded_end_of_an_act_has_its_meaning(row: Recorded) -> None:
    act = act_of(row)
    assert act
    assert meaning_of_act(row) in EXPECTED_BY_EXIT[act, row.exit_status]


def test_the_recorded_acts_cover_the_table() -> None:
    assert {"done", "AlreadySo", "refused not_found", "refused demotion_not_arrived", "refused not_mirrored"} <= {
        meaning_of_act(row) for row in ACTS
    }


@pytest.mark.parametrize("row", READS, ids=str)
def test_every_recorded_failed_read_has_its_meaning(row: Recorded) -> None:
    with pytest.raises((Refused, Unreachable)) as caught:
        raise_for_read(row.answer())
    expected = {2: "refused not_found", 110: "Unreachable", 124: "Unreachable", 22: "refused not_mirrored"}
    assert meaning(caught.value) == expected[row.exit_status or 0]


@pytest.mark.parametrize(
    ("act", "exit_status", "stderr", "expected"),
    [
        ("promote", 22, "x handle_get_info: image is already primary rbd: error promoting", "AlreadySo"),
        (
            "demote",
            22,
            "rbd: error demoting image to non-primary2026 handle_get_info: image is not primary",
            "AlreadySo",
        ),
        ("promote", 22, "rbd: error promoting image to primary", "refused other"),
        ("demote", 22, "rbd: error demoting image to non-primary", "refused other"),
        ("promote", 22, "rbd: mirroring not enabled on the image", "refused not_mirrored"),
        ("promote", 16, "", "refused demotion_not_arrived"),
        ("demote", 16, "", "refused lock_held"),
        ("promote", 30, "", "refused lock_held"),
        ("promote", 2, "rbd: error promoting image to primary", "OutcomeUnknown"),
        ("promote", 110, "rbd: error promoting image to primary", "OutcomeUnknown"),
        ("promote", 110, "rbd: error opening image x: (110) Connection timed out", "Unreachable"),
        ("promote", 1, "rbd: couldn't connect to the cluster!", "Unreachable"),
        ("promote", 13, "rbd: error opening image x: (13) Permission denied", "refused no_rights"),
        ("promote", 13, "rbd: error promoting image to primary", "OutcomeUnknown"),
        ("promote", 127, "sh: rbd: not found", "refused other"),
        ("promote", 1, "rbd: unrecognised option '-x'", "refused bad_request"),
        ("promote", 108, "", "OutcomeUnknown"),
        ("demote", 137, "", "OutcomeUnknown"),
        ("demote", 255, "", "OutcomeUnknown"),
        ("demote", None, "", "OutcomeUnknown"),
    ],
)
def test_an_end_nobody_knows_is_unknown_and_never_failed(
    act: str, exit_status: int | None, stderr: str, expected: str
) -> None:
    with pytest.raises(DriverError) as caught:
        raise_for_act(answer("", stderr, exit_status), act)
    assert meaning(caught.value) == expected


@pytest.mark.parametrize("exit_status", range(1, 256))
def test_no_silent_exit_of_an_act_counts_as_done(exit_status: int) -> None:
    for act in ("demote", "promote"):
        with pytest.raises((Refused, OutcomeUnknown)) as caught:
            raise_for_act(answer("", "", exit_status), act)
        assert not isinstance(caught.value, AlreadySo)


def test_a_missing_ceph_configuration_is_not_a_missing_image() -> None:
    text = (
        "unable to get monitor info from DNS SRV\nrbd: couldn't connect to the cluster! (2) No such file or directory"
    )
    with pytest.raises(Unreachable):
        raise_for_read(answer("", text, 2))


def test_a_refusal_speaks_of_what_was_not_done() -> None:
    with pytest.raises(Refused, match=r"has not arrived here\. Nothing was changed") as caught:
        raise_for_act(answer("", "rbd: error promoting image to primary", 16), "promote")
    assert caught.value.reason is Reason.DEMOTION_NOT_ARRIVED
    assert caught.value.answer is not None
