"""What an operator clicks when a run does not go straight: pause, resume, retry, skip, cancel, the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser, new_page, shot, shots, sign_in
from tests.stack import LabProcess, PortalStack
from tests.witness import PrimaryWitness

pytestmark = [pytest.mark.browser, pytest.mark.slow]
# As in life, only quicker, like the lab.
QUICK = {"DRPORTAL_PACE_POLL_LAST": "0.5", "DRPORTAL_PACE_CONFIRM": "0.1"}


@pytest.fixture(scope="module")
def chrome(require_browser: None) -> Iterator[Browser]:
    require_axe()
    with browser() as running:
        yield running


class Desk:
    """A person at a browser, the portal behind it, and the sites."""

    def __init__(self, page: Page, portal: PortalStack, pictures: Path) -> None:
        self.page, self.portal, self.lab, self.pictures = page, portal, portal.lab.client, pictures
        self.person = portal.client("operator")

    def start(self, kind: str = "planned_failover") -> int:
        """Ask for a run as soon as it may be asked for, and open its page."""
        self.portal.wait_ready(self.person, 1, kind)
        run_id = self.portal.start_run(self.person, 1, kind, f"{kind} {self.person.get('/runs')['items'][:1]}")
        self.page.goto(f"/runs/{run_id}")
        return run_id

    def dialog(self, button: str, do: str, reason: str = "") -> None:
        """Press a button, look at what it would do, give a reason, and do it."""
        self.page.get_by_role("button", name=button, exact=True).click()
        dialog = self.page.get_by_role("dialog")
        expect(dialog.get_by_role("listitem").first).to_be_visible()
        self.picture(f"dialog-{do}")
        if reason:
            dialog.get_by_label(re.compile("Why")).fill(reason)
        dialog.get_by_role("button", name=do).click()
        expect(dialog).to_have_count(0)

    def is_(self, word: str) -> None:
        """The run's label says so, before two minutes are over."""
        expect(self.page.locator("h1 ~ .pf-v6-c-label", has_text=word)).to_be_visible(timeout=120_000)

    def cell(self, words: str) -> Locator:
        return self.page.get_by_role("button", name=words)

    def picture(self, name: str) -> None:
        shot(self.page, self.pictures, re.sub(r"\W+", "-", name))
        assert_accessible(self.page)

    def primary(self) -> dict[str, set[str]]:
        """Images that are primary at each site, by the lab's own word."""
        sites = self.lab.status()["sites"]
        return {key: {n for n, image in site["images"].items() if image["primary"]} for key, site in sites.items()}

    def running(self, side: str) -> set[str]:
        vms = self.lab.status()["sites"][side]["vms"].values()
        return {vm["name"] for vm in vms if vm["state"] == "RUNNING"}


@pytest.fixture
def desk(chrome: Browser, tmp_path: Path) -> Iterator[Desk]:
    with (
        LabProcess("embedded", tmp_path / "lab", "--speed", "10") as lab,
        PortalStack(tmp_path, lab, **QUICK) as portal,
        new_page(chrome, portal.base_url) as page,
        PrimaryWitness(lab.client) as witness,
    ):
        sign_in(page, "operator")
        yield Desk(page, portal, shots(tmp_path) / "clicks")
    witness.assert_clean()


def test_a_run_is_paused_and_goes_on(desk: Desk) -> None:
    """Site B starts no VM for a while, so the run cannot be over before somebody has clicked."""
    desk.lab.fail("b", "scheduler-stopped")
    desk.start()
    expect(desk.cell("Running of db-1: Running")).to_be_visible(timeout=60_000)
    desk.dialog("Pause", "Pause run", "The phone rings")
    expect(desk.page.get_by_text("in flight")).to_be_visible()
    desk.lab.restore("b")
    desk.is_("Paused")
    desk.picture("paused")
    assert desk.running("b") == {"db-1"}, "what was in flight has ended, and nothing new has begun"
    desk.dialog("Resume", "Resume run")
    desk.is_("Completed")
    assert desk.running("b") == {"app-1", "db-1", "web-1"}
    trail = [entry["action"] for entry in desk.portal.client("manager").get("/audit?action=run.")["items"]]
    assert {"run.pause_asked", "run.pause", "run.resume"} <= set(trail)


def test_a_failed_step_is_tried_again(desk: Desk) -> None:
    desk.lab.fail("b", "opennebula-refuses", match="one.image.allocate", code=0x800, text="not today", times=1)
    desk.start()
    desk.is_("Paused")
    expect(desk.page.get_by_role("heading", name="Where everything stands")).to_be_visible()
    desk.page.get_by_label("Only what needs attention").check()
    desk.picture("stopped-at-an-error")
    desk.page.get_by_role("button", name=": Failed. Open the details").first.click()
    expect(desk.page.get_by_text("not today").first).to_be_visible()
    desk.dialog("Try again", "Try again")
    desk.page.get_by_role("button", name="Close the details").click()
    desk.is_("Completed")
    assert desk.running("b") == {"app-1", "db-1", "web-1"}


def test_a_failed_step_is_skipped_with_a_reason_and_the_run_ends_with_an_exception(desk: Desk) -> None:
    desk.lab.fail("b", "opennebula-refuses", match="one.vm.allocate", code=0x800, text="not today", times=1)
    desk.start()
    desk.is_("Paused")
    desk.cell("Running of db-1: Failed").click()
    desk.page.get_by_role("button", name="Skip", exact=True).click()
    do = desk.page.get_by_role("dialog").get_by_role("button", name="Skip: ")
    expect(do).to_be_disabled()
    desk.page.get_by_role("dialog").get_by_label("Why?").fill("It will be started by hand")
    do.click()
    expect(desk.page.get_by_text("Skipped by operator: It will be started by hand").first).to_be_visible()
    desk.page.get_by_role("button", name="Close the details").click()
    expect(desk.page.get_by_text("An operator decides: resume, or cancel.")).to_be_visible()
    desk.dialog("Resume", "Resume run")
    desk.is_("Completed with exceptions")
    desk.picture("completed-with-exceptions")
    expect(desk.page.get_by_text("It will be started by hand").first).to_be_visible()
    assert desk.running("b") == {"app-1", "web-1"}
    assert desk.running("a") == set()


def test_a_cancelled_run_says_where_all_stands_and_is_taken_back(desk: Desk) -> None:
    """The other site refuses to promote: images are demoted, and primary nowhere. The first refusal stops the run, so
    one whose turn had not come is where it was.
    """
    desk.lab.fail("b", "command-fails", match="mirror image promote", exit=30, stderr="rbd: error", times=99)
    run_id = desk.start()
    desk.is_("Paused")
    desk.dialog("Stop", "Stop run", "Not tonight")
    desk.is_("Cancelled")
    desk.picture("cancelled")
    primary = desk.primary()
    assert len(primary["a"]) < 5 and not primary["b"], primary
    desk.lab.restore("b")
    desk.page.get_by_role("button", name="Way back…").click()
    dialog = desk.page.get_by_role("dialog")
    do = dialog.get_by_role("button", name="Take back to Site A")
    expect(do).to_be_disabled()
    dialog.get_by_label("Type this phrase").fill("take web-shop back to site-b")
    expect(do).to_be_disabled()
    dialog.get_by_label("Type this phrase").fill("take web-shop back to site-a")
    desk.picture("dialog-way-back")
    do.click()
    desk.page.wait_for_url(re.compile(rf"/runs/(?!{run_id}$)\d+$"))
    desk.is_("Completed")
    assert {side: len(names) for side, names in desk.primary().items()} == {"a": 5, "b": 0}
    assert desk.running("a") == {"app-1", "db-1", "web-1"}
    desk.page.goto(f"/runs/{run_id}")
    expect(desk.page.get_by_role("button", name="Way back…")).to_have_attribute("aria-disabled", "true")


def test_who_may_not_act_sees_why(desk: Desk) -> None:
    """A viewer reaches every button by keyboard, and none does anything."""
    desk.lab.fail("b", "opennebula-refuses", match="one.vm.allocate", code=0x800, text="not today", times=99)
    run_id = desk.start()
    desk.is_("Paused")
    desk.page.get_by_role("button", name="operator (operator)").click()
    desk.page.get_by_role("menuitem", name="Sign out").click()
    expect(desk.page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(desk.page, "viewer")
    desk.page.goto(f"/runs/{run_id}")
    for name in ("Retry db-1", "Stop"):
        button = desk.page.get_by_role("button", name=name, exact=True)
        expect(button).to_have_attribute("aria-disabled", "true")
        button.focus()
        expect(desk.page.get_by_role("tooltip")).to_contain_text("operator")
        desk.page.keyboard.press("Enter")
        expect(desk.page.get_by_role("dialog")).to_have_count(0)
