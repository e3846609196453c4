"""Every page in both themes, as each page is in real life: something is on it. Pictures on the way, and axe on each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser, new_page, shot, shots, sign_in
from tests.stack import EmptyPortal, LabProcess, PortalStack

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGES = {
    "overview": "/",
    "sites": "/sites",
    "site": "/sites/site-a",
    "site-form": "/sites/site-a/edit",
    "site-new": "/sites/new",
    "images": "/images",
    "vms": "/vms",
    "vm": "/vms/1",
    "plans": "/plans",
    "plan": "/plans/1",
    "plan-form": "/plans/1/edit",
    "plan-new": "/plans/new",
    "planned-failover": "/planned-failover",
    "failback": "/failback?plan=1",
    "reprotect": "/reprotect?plan=1",
    "fence": "/fence?plan=1",
    "disaster-failover": "/disaster-failover?plan=1",
    "approvals": "/approvals",
    "no-such-approval": "/approvals/99",
    "runs": "/runs",
    "run": "/runs/1",
    "image-page": "/images/1",
    "alerts": "/alerts",
    "gaps": "/gaps",
    "pools": "/pools",
    "pool": "/pools/1/one",
    "readiness": "/plans/1/readiness",
    "review": "/runs/1/review",
    "reviews": "/reviews",
    "report": "/report",
    "trail": "/trail",
    "trail-entry": "/trail/1",
    "access": "/access",
    "account": "/account",
    "no-such-page": "/nothing/here",
    "no-such-run": "/runs/99",
    "no-such-site": "/sites/nowhere",
    "no-such-plan": "/plans/99",
    "no-such-quarantine": "/quarantines/99",
}


@pytest.fixture(scope="module")
def chrome(require_browser: None) -> Iterator[Browser]:
    require_axe()
    with browser() as running:
        yield running


@dataclass
class Seen:
    page: Page
    pictures: Path

    def settle(self) -> None:
        """What is first read has come; ages and spinners may go on."""
        expect(self.page.locator("h1").first).to_be_visible()
        expect(self.page.locator("[role=status][aria-label^=Reading]")).to_have_count(0)

    def check(self, name: str) -> None:
        self.settle()
        shot(self.page, self.pictures, name)
        assert_accessible(self.page)


@pytest.fixture(scope="module")
def portal(chrome: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalStack]:
    """After one planned failover."""
    folder = tmp_path_factory.mktemp("pages")
    with LabProcess("embedded", folder / "lab", "--speed", "20") as lab, PortalStack(folder, lab) as portal:
        operator = portal.client("operator")
        portal.wait_ready(operator, 1, "planned_failover")
        portal.wait_run(operator, portal.start_run(operator, 1, "planned_failover", "first"), 120)
        yield portal


@pytest.fixture(scope="module", params=["light", "dark"])
def seen(
    request: pytest.FixtureRequest, chrome: Browser, portal: PortalStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seen]:
    theme = request.param
    with new_page(chrome, portal.base_url, dark=theme == "dark") as page:
        sign_in(page, "administrator")
        yield Seen(page, shots(tmp_path_factory.mktemp("shots")) / f"pages-{theme}")


def test_no_page_is_forgotten() -> None:
    routes = re.findall(r'path="([^"*]+)"', Path("frontend/src/App.tsx").read_text())
    shown = [address.partition("?")[0].strip("/") for address in PAGES.values()]
    assert routes
    for route in routes:
        form = re.compile(re.sub(r":\w+", "[^/]+", route.strip("/")))
        assert any(form.fullmatch(address) for address in shown), route


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_there_and_can_be_used_by_everybody(seen: Seen, name: str) -> None:
    seen.page.goto(PAGES[name])
    seen.check(name)


def test_what_opens_on_a_page_can_be_used_by_everybody(seen: Seen) -> None:
    """The details of a step with its gates unfolded, and those of an image."""
    page = seen.page
    page.goto("/runs/1")
    page.get_by_role("button", name="Promoted of one/one-10: Done").click()
    for gate in ("G-DEMOTED", "G-PROMOTED", "raw answer"):
        page.get_by_role("button", name=gate).last.click()
    seen.check("run-step")
    page.goto("/images")
    page.get_by_role("button", name="one-10").first.click()
    seen.check("image")


def test_the_menu_and_a_dialog_can_be_used_by_everybody(seen: Seen) -> None:
    page = seen.page
    page.goto("/sites/site-a")
    page.get_by_role("button", name="administrator").click()
    seen.check("menu")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    seen.check("dialog")


FORGET_PROOF = """
from django.contrib.sessions.models import Session
for row in Session.objects.all():
    store = row.get_session_store_class()(row.session_key)
    store.pop("proved_at", None)
    store.save()
"""


def test_the_password_is_asked_for_again_where_the_refusal_stands(seen: Seen, portal: PortalStack) -> None:
    page = seen.page
    portal.manage("shell", "-c", FORGET_PROOF)
    page.goto("/account")
    page.get_by_label("Name: what is it for?").fill("nightly")
    make = page.get_by_role("button", name="Make a token")
    make.click()
    page.get_by_label("Your password").fill("a guess")
    page.get_by_role("button", name="Give the password").click()
    expect(page.get_by_text("The password is wrong. Nothing was changed.")).to_be_visible()
    page.get_by_label("Your password").scroll_into_view_if_needed()
    seen.check("password-again")
    page.get_by_label("Your password").fill("administrator-demo")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Now do it once more.")).to_be_visible()
    make.click()
    expect(page.get_by_text("The token nightly, shown this once")).to_be_visible()
    seen.check("token")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_way_in_can_be_used_by_everybody(chrome: Browser, portal: PortalStack, theme: str, tmp_path: Path) -> None:
    """The sign-in page before and after a wrong password."""
    with new_page(chrome, portal.base_url, dark=theme == "dark") as page:
        seen = Seen(page, shots(tmp_path) / f"pages-{theme}")
        page.goto("/runs/1")
        seen.check("sign-in")
        page.get_by_label("User name").fill("operator")
        page.get_by_label("Password").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
        seen.check("sign-in-refused")
        page.get_by_label("Password").fill("operator-demo")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Run 1")).to_be_visible()


# What a portal shows on its first day.
EMPTY_PAGES = (
    "overview",
    "sites",
    "images",
    "vms",
    "plans",
    "plan-new",
    "planned-failover",
    "runs",
    "trail",
    "account",
)


def test_empty_pages_say_what_is_missing_and_what_to_do_next(chrome: Browser, tmp_path: Path) -> None:
    with (
        LabProcess("embedded", tmp_path / "lab") as lab,
        EmptyPortal(tmp_path, lab) as portal,
        new_page(chrome, portal.base_url) as page,
    ):
        seen = Seen(page, shots(tmp_path) / "pages-empty")
        sign_in(page, "administrator", portal.password("administrator"))
        for name in EMPTY_PAGES:
            page.goto(PAGES[name])
            seen.check(name)
        for name, words in {
            "sites": "No site is set up yet",
            "images": "No pair of sites yet",
            "plans": "There is no plan yet",
            "runs": "No run here",
        }.items():
            page.goto(PAGES[name])
            expect(page.get_by_role("heading", name=words)).to_be_visible()
