"""An operator, a browser and clicks: the planned failover of three VMs and five disks, and home again."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from drportal.lab.control import LabClient
from tests.end_to_end.browser import browser_page, open_page, shot, shots, sign_in
from tests.stack import LabProcess, PortalStack
from tests.witness import PrimaryWitness

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IMAGES = ("one-10", "one-11", "one-12", "one-13", "one-14")


def wait_ready(page: Page, patience_s: float) -> None:
    """On the readiness step: ask again until nothing is in the way, as a person would."""
    deadline = time.monotonic() + patience_s
    ask = page.get_by_role("button", name="Ask the sites again")
    while True:
        expect(ask).to_be_visible(timeout=40_000)
        if page.get_by_role("button", name="Next").is_enabled():
            return
        if page.get_by_label("I have read the").count():
            page.get_by_label("I have read the").check()
            continue
        assert time.monotonic() < deadline, page.locator("main").inner_text()[:3000]
        page.wait_for_timeout(2000)
        ask.click()


def walk_wizard(page: Page, door: str, phrase: str, pictures: Path, button: str = "Move 3 VMs and 5 images to") -> None:
    """From the door to the run page, by clicks and typing only.

    Mirroring goes on while a person reads: a snapshot that is being copied just then is a warning that nobody has
    accepted, and the start is refused with it. Then one looks again, and goes on.
    """
    open_page(page, door)
    page.get_by_role("radio").first.check()
    page.get_by_role("button", name="Next").click()
    deadline = time.monotonic() + 180
    while not started(page, door, phrase, pictures, button):
        assert time.monotonic() < deadline, page.locator("main").inner_text()[:3000]
        page.get_by_role("button", name="Look at the readiness again").click()


def started(page: Page, door: str, phrase: str, pictures: Path, button: str) -> bool:
    """From the readiness on. False: the portal refused, and says that something has changed."""
    wait_ready(page, 120)
    shot(page, pictures, f"wizard-{door}-readiness")
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("byte for byte")).to_be_visible()
    expect(page.get_by_text("rbd mirror image demote one/one-10").first).to_be_visible()
    shot(page, pictures, f"wizard-{door}-commands")
    page.get_by_role("button", name="Next").click()
    start = page.get_by_role("button", name=button, exact=False)
    page.get_by_label("Why is this done?").fill("A drill, by clicks")
    page.get_by_label("Type this phrase").fill("something else")
    expect(start).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Type this phrase").fill(phrase)
    shot(page, pictures, f"wizard-{door}-confirm")
    start.click()
    of_the_run = page.get_by_role("heading", name="Checklist")
    refused = page.get_by_text("Nothing was started").first
    expect(of_the_run.or_(refused)).to_be_visible(timeout=90_000)
    return of_the_run.is_visible()


def watch_run(page: Page, pictures: Path, name: str) -> None:
    """See it go on, look into a cell, and see it end; a reload in the middle loses nothing."""
    page.wait_for_timeout(1500)
    shot(page, pictures, f"run-{name}-going")
    page.reload()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=180_000)
    shot(page, pictures, f"run-{name}-done")
    page.get_by_role("button", name="Promoted of one/one-10: Done").click()
    expect(page.get_by_text("rbd mirror image promote one/one-10").first).to_be_visible()
    shot(page, pictures, f"run-{name}-cell")
    page.get_by_role("button", name="Close the details").click()


WAYS = [
    pytest.param("embedded", "light"),
    pytest.param("embedded", "dark"),
    pytest.param("ceph", "light", marks=pytest.mark.ceph, id="ceph"),
]


@pytest.mark.parametrize(("kind", "theme"), WAYS)
def test_an_operator_moves_a_group_there_and_home_by_clicks(
    kind: str, theme: str, tmp_path: Path, require_browser: None, require_ceph: None
) -> None:
    """With its data: what was written at A is read at B, and what was changed there at A again."""
    pictures = shots(tmp_path) / f"{kind}-{theme}"
    options = ("--speed", "5") if kind == "embedded" else ()
    with (
        LabProcess(kind, tmp_path / "lab", *options) as lab,
        PortalStack(tmp_path, lab) as portal,
        browser_page(portal.base_url, dark=theme == "dark") as page,
        PrimaryWitness(lab.client) as witness,
    ):
        at_home = written(lab.client, "a", "home")
        sign_in(page, "operator")
        shot(page, pictures, "overview")
        walk_wizard(page, "Planned failover", "move web-shop to site-b", pictures)
        watch_run(page, pictures, "there")
        assert read(lab.client, "b") == at_home
        away = written(lab.client, "b", "away")
        assert not set(away.values()) & set(at_home.values())
        walk_wizard(page, "Failback", "move web-shop to site-a", pictures)
        watch_run(page, pictures, "home")
        assert read(lab.client, "a") == away
        sites = lab.client.status()["sites"]
        assert {vm["state"] for vm in sites["a"]["vms"].values()} == {"RUNNING"}
        assert not [vm for vm in sites["b"]["vms"].values() if vm["state"] == "RUNNING"]
    witness.assert_clean()


def written(lab: LabClient, site: str, word: str) -> dict[str, str]:
    """Something new in each image of the three VMs, and its checksum."""
    for name in IMAGES:
        lab.write(site, name, seed=f"{word} {name}")
    return read(lab, site)


def read(lab: LabClient, site: str) -> dict[str, str]:
    return {name: lab.checksum(site, name) for name in IMAGES}
