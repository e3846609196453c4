"""A request made just after a site died stands although the survivor's mirror daemon has not noticed yet."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from drportal.errors import Conflict
from drportal.recovery.models import Approval, Evidence, RecoveryPlan, Run
from drportal.recovery.services import approvals, disaster
from drportal.roles import Role
from tests.recovery.conftest import Bell, Mover
from tests.recovery.test_disaster import approved, person, requested, told
from tests.stack import LabProcess, wait_until

pytestmark = pytest.mark.slow

SPEED = 4  # a mirror daemon's beat of 30 s takes 7.5 s: long enough to ask before its last words
BEAT_S = 30 / SPEED


@pytest.fixture(scope="module")
def slow_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    folder = tmp_path_factory.mktemp("beats") / "lab"
    with LabProcess("embedded", folder, "--speed", str(SPEED), vms=3, mode="mixed") as lab:
        yield lab


@pytest.fixture
def slow_mover(slow_lab: LabProcess, transactional_db: None, bell: Bell) -> Iterator[Mover]:
    yield Mover(slow_lab.client)
    for side in ("a", "b"):
        slow_lab.client.restore(side)


def said(mover: Mover, plan: RecoveryPlan) -> dict[str, Any]:
    """What the survivor's daemon says of each image, the journal's position among it."""
    images = disaster.disaster_door(plan.pk).content["images"].values()
    return {image["name"]: (image["replayed_position"], image["told_at"]) for image in images}


def just_after_a_beat(mover: Mover, plan: RecoveryPlan) -> None:
    """So that the next one, with the last words, is most of a beat away."""
    before = said(mover, plan)

    def told_anew() -> bool:
        return all(
            now[0] != was[0] for now, was in zip(said(mover, plan).values(), before.values(), strict=True) if was[0]
        )

    wait_until("the mirror daemon has told how far it is", told_anew, 3 * BEAT_S, 0.1)


def test_a_request_within_3_s_of_the_loss_outlives_the_mirror_daemon_s_last_words(slow_mover: Mover) -> None:
    mover = slow_mover
    plan, olga, anna = mover.plan("web-1", "db-1"), person("olga", Role.OPERATOR), person("anna", Role.APPROVER)
    just_after_a_beat(mover, plan)
    mover.lab.fail("a", "site-down")
    died = time.monotonic()
    door, digest = disaster.disaster_open(plan.pk)
    run = requested(plan, olga, evidence_sha256=digest)
    assert time.monotonic() - died < 3
    images = door.content["images"].values()
    assert {image["mode"] for image in images} == {"journal", "snapshot"}
    assert all(image["last_heard"]["heard_at"] and image["last_answers_there"] for image in images), (
        "said before it died"
    )
    asked = Approval.objects.get(run=run)
    assert asked.evidence.sha256 == digest, "what was seen at the door is what is asked about"

    def has_moved() -> list[dict[str, Any]]:
        return approvals.approval_look(asked)[1]

    found = wait_until("the daemon has told its last words", has_moved, 3 * BEAT_S, 0.5)
    assert "replayed_position" in {one["field"] for one in found}, "a journal's position came late"
    assert not [one for one in found if one["material"]], found
    time.sleep(max(0.0, died + 60 / SPEED - time.monotonic()))  # a minute by the lab's clock
    approved(run, anna)
    run = mover.drive(run)
    assert run.state == "succeeded", told(run)


def test_a_door_that_is_not_as_it_was_seen_asks_for_nothing(mover: Mover) -> None:
    plan, olga = mover.plan("web-1"), person("olga", Role.OPERATOR)
    mover.lab.fail("a", "site-down")
    _, digest = disaster.disaster_open(plan.pk)
    Evidence.objects.filter(sha256=digest).update(content={**Evidence.objects.get(sha256=digest).content, "images": {}})
    with pytest.raises(Conflict, match="is not so any more") as moved:
        requested(plan, olga, evidence_sha256=digest)
    assert moved.value.code == "evidence_moved"
    with pytest.raises(Conflict, match="Look again") as unknown:
        requested(plan, olga, evidence_sha256="0" * 64)
    assert unknown.value.code == "evidence_old"
    assert not Run.objects.exists()
