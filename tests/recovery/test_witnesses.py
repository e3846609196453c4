"""Is it really down? One place's silence is *unreachable*; *down* is what every place says that could be asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from drportal.errors import Conflict
from drportal.inventory.connect import site_drivers
from drportal.inventory.introduce import introduce_witness
from drportal.inventory.models import Sight
from drportal.inventory.witnesses import posts_of
from drportal.recovery import second_view
from drportal.recovery.models import Run
from drportal.recovery.services.disaster import disaster_door
from drportal.roles import Role
from tests.recovery.conftest import Mover
from tests.recovery.test_disaster import person, requested

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watched(mover: Mover) -> Iterator[Mover]:
    """With a witness."""
    assert mover.lab.description.witness is not None
    introduce_witness(mover.pair, mover.lab.description.witness)
    yield mover
    mover.lab.restore("witness")


def look(mover: Mover) -> dict[str, Any]:
    """At site a."""
    a, b = mover.pair.a, mover.pair.b
    drivers, posts = [site_drivers(site) for site in (a, b)], posts_of(a, b)

    async def read() -> Any:
        try:
            return await second_view.look(a, drivers[0].ceph, b, drivers[1].ceph, posts)
        finally:
            await asyncio.gather(posts.close(), *(made.close() for made in drivers))

    return dict(asyncio.run(read())[0])


def standing(mover: Mover) -> tuple[str, str]:
    found = look(mover)
    return found["contact"], found["standing"]


def test_who_loses_it_and_what_that_comes_to(watched: Mover) -> None:
    lab = watched.lab
    assert standing(watched) == ("answers", "answers")
    lab.fail("a", "cut-off")
    assert standing(watched) == ("unreachable", "portal_alone")
    lab.restore("a")
    lab.fail("a", "cut-off", **{"from": "both"})
    assert standing(watched) == ("unreachable", "a_witness_sees")
    lab.fail("witness", "site-down")
    lost = look(watched)
    assert (lost["contact"], lost["standing"]) == ("down", "silent_for_both"), "its loss takes nothing from the others"
    assert "The witness third place could not be asked" in lost["sentence"]
    lab.restore("witness")
    lab.fail("witness", "wrong-host-key")
    refused = look(watched)
    assert (refused["contact"], refused["alive"]) == ("down", False)
    assert refused["witnesses"][0]["views"] == [] and "key" in refused["witnesses"][0]["trouble"]
    lab.restore("witness")
    lab.restore("a")
    lab.fail("a", "site-down")
    assert standing(watched) == ("down", "silent_for_all")


def test_nothing_is_forced_while_a_witness_sees_the_site_alive(watched: Mover) -> None:
    plan = watched.plan("web-9")
    watched.lab.fail("a", "cut-off", **{"from": "both"})
    door = disaster_door(plan.pk)
    assert "Site A is not gone: the witness third place gets an answer from its SSH host" in door.blockers[0]
    assert "A witness that is wrong is taken away" in door.blockers[0]
    seen = {(one["viewpoint"], one["what"]): one["echo"] for one in door.content["sights"]}
    assert seen["witness:third place", "SSH host"] == "greets", "frozen with the evidence"
    assert (seen["portal", "SSH host"], seen["site-b", "SSH host"]) == ("refuses", "refuses")
    with pytest.raises(Conflict, match="not gone"):
        requested(plan, person("olga", Role.OPERATOR))
    assert not Run.objects.exists()
    assert Sight.objects.filter(viewpoint="witness:third place").exists()
