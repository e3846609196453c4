"""Real sockets on a real server: a change at a site is on all of them within a poll, and nothing is lost for good."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.live.browsers import Browsers
from tests.stack import LabProcess, PortalStack

pytestmark = pytest.mark.slow
SOCKETS = 20
POLL_S, SLACK_S = 2.0, 5.0  # the bench measures; a busy machine must not fail here


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalStack]:
    folder = tmp_path_factory.mktemp("sockets")
    with LabProcess("embedded", folder / "lab", vms=2) as lab, PortalStack(folder, lab) as portal:
        yield portal


async def test_a_change_is_on_all_sockets_and_none_is_wrong_after_redis_died_and_sockets_were_cut(
    stack: PortalStack,
) -> None:
    viewer, lab = stack.client("viewer"), stack.lab.client

    def read() -> dict[str, Any]:
        return {site["slug"]: site["opennebula"]["ok"] for site in viewer.get("/sites")["items"]}

    async with Browsers(viewer, SOCKETS, read) as browsers:
        await browsers.until_all_show(lambda sites: all(sites.values()))
        took = await browsers.arrivals("sites", lambda: lab.fail("a", "opennebula-down"))
        assert max(took) < POLL_S + SLACK_S
        await browsers.until_all_show(lambda sites: not sites["site-a"])

        before = [browser.times_live for browser in browsers.all]
        stack.programs["redis"].kill()
        lab.restore("a", "opennebula-down")
        await browsers.until("they know that they are not live", lambda one: not one.live or one.times_live > 1)
        stack.programs["redis"].start()
        await browsers.until_all_show(lambda sites: sites["site-a"])
        await browsers.until("they are live again", lambda one: one.live)
        assert all(browser.times_live > count for browser, count in zip(browsers.all, before, strict=True))

        for browser in browsers.all:
            browser.cut()
        lab.fail("a", "opennebula-down")
        await browsers.until_all_show(lambda sites: not sites["site-a"])
        lab.restore("a", "opennebula-down")
        await browsers.until_all_show(lambda sites: all(sites.values()))
