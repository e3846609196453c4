"""What people look at on the other days, in a browser: exposure over time, gaps, readiness, alerts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.end_to_end.browser import browser_page, open_page, shot
from tests.end_to_end.test_in_the_browser import shots, sign_in
from tests.stack import LabProcess, PortalStack

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def exposure_of_a_pool_and_an_image(page: Page, pictures: Path) -> None:
    open_page(page, "Pools")
    page.get_by_role("link", name="one", exact=True).click()
    expect(page.get_by_role("heading", name="Pool one")).to_be_visible()
    expect(page.get_by_text(re.compile("At most \\d+ s")).first).to_be_visible(timeout=60_000)
    expect(page.locator(".dr-chart canvas")).to_be_visible()
    shot(page, pictures, "pool")
    page.get_by_role("grid", name="Most exposed images").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name=re.compile("one-[0-9]+$"))).to_be_visible()
    page.get_by_role("button", name="The curve as figures").click()
    expect(page.get_by_role("grid", name="Exposure over time").get_by_text("at most").first).to_be_visible(
        timeout=90_000
    )
    page.get_by_role("button", name="Week").click()
    shot(page, pictures, "image")


def gaps_with_their_remedies(page: Page, pictures: Path) -> None:
    open_page(page, "Gaps")
    expect(page.get_by_role("heading", name="Protection gaps")).to_be_visible()
    expect(page.get_by_label("Level")).to_be_visible()
    shot(page, pictures, "gaps")


def rules_and_alerts(page: Page, pictures: Path) -> None:
    open_page(page, "Alerts")
    expect(page.get_by_role("heading", name="Nobody is told of anything yet")).to_be_visible()
    page.get_by_role("button", name="Add a rule").click()
    page.get_by_label("Name", exact=True).fill("Split")
    page.get_by_label("Tell when").select_option("two_primaries")
    page.get_by_role("button", name="Save the rule").click()
    expect(page.get_by_role("grid", name="Rules").get_by_text("can be written at both sites")).to_be_visible()
    shot(page, pictures, "alerts")


def readiness_comes_by_itself(page: Page, pictures: Path) -> None:
    open_page(page, "Plans")
    page.get_by_role("link", name="web-shop", exact=True).first.click()
    expect(page.get_by_text("last checked").first).to_be_visible()
    expect(page.get_by_text("nothing that it depends on has changed").first).to_be_visible(timeout=120_000)
    page.get_by_role("link", name="Report to print").click()
    expect(page.get_by_role("heading", name="Readiness of web-shop")).to_be_visible()
    expect(page.get_by_text("How long it will take is not predicted")).to_be_visible()
    shot(page, pictures, "readiness-report")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_people_look_at_on_the_other_days(theme: str, tmp_path: Path, require_browser: None) -> None:
    pictures = shots(tmp_path) / theme
    with (
        LabProcess("embedded", tmp_path / "lab", "--speed", "5", mode="mixed") as lab,
        PortalStack(tmp_path, lab) as portal,
        browser_page(portal.base_url, dark=theme == "dark") as page,
    ):
        sign_in(page, "operator")
        exposure_of_a_pool_and_an_image(page, pictures)
        gaps_with_their_remedies(page, pictures)
        readiness_comes_by_itself(page, pictures)
        rules_and_alerts(page, pictures)
