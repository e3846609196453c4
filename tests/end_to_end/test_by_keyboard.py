"""The day-to-day pages by keyboard alone, and axe on the long tables with rows that were walked to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser_page, shot, shots
from tests.stack import LabProcess, PortalStack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TABS = 80  # no thing on these pages is further away


def tab_to(page: Page, there: Locator, *, back: bool = False) -> None:
    """By Tab only, as far as it takes; ``back``: by Shift and Tab."""
    expect(there).to_be_visible()
    for _ in range(TABS):
        if there.evaluate("it => it === document.activeElement"):
            return
        page.keyboard.press("Shift+Tab" if back else "Tab")
    here = page.evaluate("() => document.activeElement.outerHTML.slice(0, 300)")
    raise AssertionError(f"{there} is not reached by {TABS} Tabs; the focus is on {here}")


def sign_in(page: Page) -> None:
    page.goto("/")
    tab_to(page, page.get_by_label("User name"))
    page.keyboard.type("operator")
    tab_to(page, page.get_by_label("Password"))
    page.keyboard.type("operator-demo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def focused(page: Page) -> str:
    return str(page.evaluate("() => document.activeElement.innerText.trim()"))


def images_to_one_and_back(page: Page, pictures: Path) -> None:
    tab_to(page, page.get_by_role("link", name="Images", exact=True))
    page.keyboard.press("Enter")
    grid = page.get_by_role("grid", name="Images")
    rows = grid.get_by_role("row")
    expect(rows).to_have_count(int(grid.get_attribute("aria-rowcount") or 0))
    names = [words.strip() for words in grid.get_by_role("rowheader").all_inner_texts()]
    assert len(names) >= 3
    tab_to(page, grid.get_by_role("button", name=names[0]))
    for key, name in (("ArrowDown", names[1]), ("End", names[-1]), ("ArrowUp", names[-2]), ("Home", names[0])):
        page.keyboard.press(key)
        assert focused(page) == name, key
    page.keyboard.press("ArrowRight")
    assert page.evaluate("() => document.activeElement.tagName") == "TD"
    page.keyboard.press("Tab")
    assert not grid.evaluate("it => it.contains(document.activeElement)"), "one Tab leaves the table"
    search = page.get_by_label("Image or VM")
    page.keyboard.press("Shift+Tab")
    while not search.evaluate("it => it === document.activeElement"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.type(names[1].partition("/")[2])
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]q=one-"))
    expect(page.get_by_role("status").filter(has_text="1 image")).to_be_visible()
    assert_accessible(page)
    shot(page, pictures, "images-filtered")
    tab_to(page, grid.get_by_role("button", name=names[1]))
    page.keyboard.press("Enter")
    own = page.get_by_role("link", name="Its own page, with exposure over time")
    tab_to(page, own)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=names[1])).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Week"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]period=week"))
    page.go_back()  # the browser's own Back: its key is the browser's affair
    expect(page).to_have_url(re.compile(r"[?&]q=one-"))
    expect(page.get_by_label("Image or VM")).to_have_value(names[1].partition("/")[2])


def a_view_that_is_kept(page: Page, pictures: Path) -> None:
    page.goto("/vms?q=web")
    expect(page.get_by_role("grid", name="VMs")).to_be_visible()
    tab_to(page, page.get_by_role("button", name="Saved views"))
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Keep or remove a view").focus()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_label("Name for the present filter"))
    page.keyboard.type("Web servers")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove the view Web servers")).to_be_visible()
    assert_accessible(page)
    shot(page, pictures, "views")
    page.keyboard.press("Escape")
    page.goto("/vms")
    tab_to(page, page.get_by_role("button", name="Saved views"))
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Web servers").focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]q=web"))
    assert_accessible(page)
    shot(page, pictures, "vms")


def readiness(page: Page) -> None:
    tab_to(page, page.get_by_role("link", name="Plans", exact=True))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="web-shop", exact=True).first)
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("link", name="Report to print"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Readiness of web-shop")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_day_to_day_pages_by_keyboard_alone(theme: str, tmp_path: Path, require_browser: None) -> None:
    require_axe()
    pictures = shots(tmp_path) / f"keyboard-{theme}"
    with (
        LabProcess("embedded", tmp_path / "lab", "--speed", "5", mode="mixed") as lab,
        PortalStack(tmp_path, lab) as portal,
        browser_page(portal.base_url, dark=theme == "dark") as page,
    ):
        viewer = portal.client("viewer")
        wait_until("images are known", lambda: viewer.get("/pairs/1/images")["total"] > 2, 60)
        sign_in(page)
        images_to_one_and_back(page, pictures)
        a_view_that_is_kept(page, pictures)
        readiness(page)
        page.goto("/gaps")
        expect(page.get_by_label("Kind of gap")).to_be_visible()
        expect(page.locator("[role=status][aria-label^=Reading]")).to_have_count(0)
        assert_accessible(page)
        shot(page, pictures, "gaps")
