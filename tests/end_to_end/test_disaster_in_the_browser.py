"""A site is gone, two people at two browsers: from the disaster door over the approver's page to running VMs; a third
looks at it afterwards."""

from __future__ import annotations

import time
import xmlrpc.client
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from drportal.lab.control import LabClient
from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser, new_page, open_page, shot, shots, sign_in
from tests.end_to_end.test_by_keyboard import tab_to
from tests.end_to_end.test_in_the_browser import wait_ready, walk_wizard
from tests.stack import LabProcess, PortalStack, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SHEET = {"width": 688, "height": 1010}  # A4 less its margins, in CSS pixels
RECOVER_RETRY = 2
BUTTON = "Ask to force-promote 5 images at"


def protected(portal: PortalStack) -> None:
    """Every image was shown whole: without that nothing may be forced."""
    operator = portal.client("operator")
    portal.wait_ready(operator, 1, "planned_failover")
    wait_until(
        "each image has a bound of its loss",
        lambda: all(image["loss_s"] is not None or "whole up to" in image["loss"] for image in evidence(portal)),
        120,
        2.0,
    )


def evidence(portal: PortalStack) -> list[dict[str, object]]:
    found: list[dict[str, object]] = portal.client("operator").get("/plans/1/disaster")["evidence"]["images"]
    return found


def ask(page: Page, pictures: Path) -> None:
    """The door: first refused while the phrase is missing, then asked for."""
    open_page(page, "Disaster failover")
    page.get_by_role("radio").first.click()
    expect(page.get_by_role("radio").first).to_be_checked()
    patient_until = time.monotonic() + 180
    again = page.get_by_role("button", name="Ask the sites again")
    while True:
        expect(again).to_be_enabled(timeout=60_000)
        if page.get_by_text("Not now: nothing can be forced").count() == 0:
            break
        assert time.monotonic() < patient_until, page.locator("main").inner_text()[:3000]
        again.click()
    expect(page.get_by_role("grid", name="Evidence")).to_contain_text("Silent")
    expect(page.get_by_role("grid", name="Evidence")).to_contain_text("before contact was lost")
    expect(page.get_by_role("heading", name="What others see of Site A")).to_be_visible()
    expect(page.get_by_text("no answer from Site A either")).to_be_visible()
    page.get_by_role("heading", name="What is known now").scroll_into_view_if_needed()
    shot(page, pictures, "1-evidence")
    page.get_by_label("Why is this done?").fill("The site burns")
    page.get_by_label("Who made sure").fill("olga had the power of both racks cut")
    button = page.get_by_role("button", name=BUTTON, exact=False)
    expect(button).to_have_attribute("aria-disabled", "true")
    page.get_by_label("Type this phrase").fill(page.locator("code.dr-phrase").inner_text())
    shot(page, pictures, "1-door")
    assert_accessible(page)
    button.click()
    page.wait_for_url("**/approvals/*")
    expect(page.get_by_text("You asked for it yourself: another person decides.")).to_be_visible()
    page.get_by_role("button", name="Nobody else can be reached").click()
    alone = page.get_by_role("button", name="Go on alone", exact=False)
    expect(alone).to_have_attribute("aria-disabled", "true")
    alone.scroll_into_view_if_needed()
    shot(page, pictures, "1-alone")
    assert_accessible(page)


def approve(page: Page, pictures: Path) -> None:
    open_page(page, "Approvals")
    page.get_by_role("grid", name="Approvals").get_by_role("link").first.click()
    expect(page.get_by_text("Nothing that matters has changed since")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("rbd mirror image promote --force one/one-10").first).to_be_visible()
    button = page.get_by_role("button", name="Approve: force-promote 5 images")
    page.get_by_label("Your password, again").fill("a guess")
    button.click()
    expect(page.get_by_text("The password is wrong. Nothing was approved.")).to_be_visible(timeout=60_000)
    page.get_by_label("Your password, again").fill("approver-demo")
    shot(page, pictures, "2-approval")
    assert_accessible(page)
    button.click()
    page.wait_for_url("**/runs/*", timeout=90_000)


def goes_wrong_in_part(portal: PortalStack, lab: LabClient) -> None:
    """At the site that is left: app-1 will not boot, and Ceph refuses web-1's only image."""
    vms = portal.client("operator").get("/runs/1")["vms"]
    (image,) = (image["name"] for vm in vms if vm["name"] == "web-1" for image in vm["images"])
    lab.fail("b", "boot-fails", vm="app-1")
    lab.fail("b", "command-fails", match=f"promote --force {image}", exit=30, stderr="rbd: error")


def boots_again(lab: LabClient) -> None:
    """As its administrator would: the host is mended, and the VM told to boot once more."""
    lab.restore("b", "boot-fails")
    access = lab.description.sites["b"].opennebula
    (number,) = (key for key, vm in lab.status()["sites"]["b"]["vms"].items() if vm["name"] == "app-1")
    proxy = xmlrpc.client.ServerProxy(access.url)
    proxy.one.vm.recover(f"{access.username}:{access.password}", int(number), RECOVER_RETRY)


def console(page: Page, lab: LabClient, pictures: Path) -> None:
    """Partial results, chosen about by keyboard alone: what follows is read first, and comes so."""
    page.goto("/runs/1")
    expect(page.get_by_text("1 VM is done. 2 VMs are not.")).to_be_visible(timeout=180_000)
    rows = page.get_by_role("grid", name="VMs in trouble or on hold").get_by_role("row")
    expect(rows.filter(has_text="app-1")).to_contain_text("BOOT_FAILURE")
    expect(rows.filter(has_text="web-1")).to_contain_text("Force-promote")
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        shot(page, pictures, f"3-console-{theme}")
        assert_accessible(page)

    stop = dialog_of(page, "Stop")
    expect(stop).to_contain_text("What was forced stays forced.")
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        shot(page, pictures, f"3-stop-{theme}")
        assert_accessible(page)
    leave(page, "Stop")
    tab_to(page, page.get_by_role("checkbox", name="Choose app-1"), back=True)
    page.keyboard.press("Space")
    expect(dialog_of(page, "Hold web-1")).to_contain_text("web-1 is on hold.")
    leave(page, "Hold web-1")

    boots_again(lab)
    words = "Go on with priorities 1 to 2"
    critical = dialog_of(page, words)
    expect(critical).to_contain_text("app-1: tried again, from its first look on: “Start app-1 at Site B”")
    expect(critical).to_contain_text("The group is not whole at Site B before they are retried.")
    shot(page, pictures, "3-critical")
    tab_to(page, page.get_by_label("Why? (optional; it goes into the trail)"))
    page.keyboard.type("the shop first")
    confirm(page, critical, words)
    expect(page.get_by_text("2 VMs are done. 1 VM is not.")).to_be_visible(timeout=90_000)
    expect(rows.filter(has_text="web-1")).to_contain_text("On hold")
    shot(page, pictures, "3-on-hold")

    lab.restore("b")
    retry = dialog_of(page, "Retry web-1")
    expect(retry).to_contain_text("What is forced can't be taken back.")
    confirm(page, retry, "Retry web-1")
    expect(page.get_by_role("heading", name="What is left, and how it goes on")).to_have_count(0)


def dialog_of(page: Page, button: str) -> Locator:
    """Opened from the console by keyboard, with what follows read already."""
    tab_to(page, page.get_by_role("button", name=button, exact=True))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("listitem").first).to_be_visible()
    return dialog


def confirm(page: Page, dialog: Locator, button: str) -> None:
    tab_to(page, dialog.get_by_role("button", name=button, exact=True))
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)


def leave(page: Page, button: str) -> None:
    """By Escape, and back where one came from."""
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("button", name=button, exact=True)).to_be_focused()


def review(page: Page, pictures: Path, folder: Path) -> None:
    """The next morning: what the approver saw, whether the trail is whole, accepted, and on paper."""
    open_page(page, "Reviews")
    last_night = page.get_by_role("grid", name="Reviews").get_by_role("row").filter(has_text="Disaster failover").first
    expect(last_night).to_contain_text("New")
    shot(page, pictures, "6-queue")
    last_night.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="What the approver saw")).to_be_visible()
    expect(page.get_by_role("grid", name="Evidence that was approved")).to_contain_text("before contact was lost")
    expect(page.get_by_text("rbd mirror image promote --force one/one-10").first).to_be_visible()
    expect(page.get_by_text("olga had the power of both racks cut").first).to_be_visible()
    took = page.get_by_text("contact with Site A was lost until the last VM was seen running")
    expect(took).to_contain_text("within the target of 1800 s")
    expect(page.get_by_role("grid", name="Data lost")).to_contain_text("before contact was lost")
    expect(page.get_by_role("grid", name="Data lost")).to_contain_text("not known yet")
    expect(page.get_by_text("by manager, with DR Portal")).to_be_visible()
    page.get_by_role("button", name="Verify the whole chain now").click()
    expect(page.get_by_text("The chain holds")).to_be_visible(timeout=60_000)
    page.get_by_label("Your words").fill("Seen with the power company's own record")
    shot(page, pictures, "6-review")
    assert_accessible(page)
    page.get_by_role("button", name="Accept the run").click()
    expect(page.get_by_text("manager accepted: Seen with the power company's own record")).to_be_visible()
    expect(page.get_by_role("button", name="Accept the run")).to_have_count(0)
    on_paper(page, pictures, folder, "review", "promote --force one/one-10")
    open_page(page, "Report")
    expect(page.get_by_role("grid", name="Sections, articles and clauses")).to_contain_text("Art. 11(6)(a)")
    expect(page.get_by_role("grid", name="Plans")).to_contain_text("1 / 0")
    expect(page.get_by_role("grid", name="Runs")).to_contain_text("approver")
    expect(page.get_by_role("grid", name="Runs")).to_contain_text("Accepted")
    assert_accessible(page)
    expect(page.get_by_text("are not settled")).to_have_count(0)  # both records tell of the same forced commands
    on_paper(page, pictures, folder, "report", "disaster failover")


def in_the_dark(page: Page, pictures: Path) -> None:
    """What the manager saw, in the other theme; the plan with its target too."""
    sign_in(page, "manager")
    for name, path, heading in (
        ("review", "/runs/1/review", "What the approver saw"),
        ("report", "/report", "What this report shows, and what it does not"),
        ("plan", "/plans/1", "RTO target"),
        ("trail", "/trail", "Trail"),
    ):
        page.goto(path)
        expect(page.get_by_role("heading", name=heading).first).to_be_visible()
        shot(page, pictures, f"7-{name}-dark")
        assert_accessible(page)


def fence(page: Page, dark: Page, pictures: Path) -> None:
    """From the band that stands on every page: what is seen there, then off with it."""
    page.get_by_role("link", name="Fence it first").click()
    for theme, looker in (("light", page), ("dark", dark)):
        if looker is dark:
            sign_in(dark, "approver")
            dark.goto("/quarantines/1")
        expect(looker.get_by_text("web-1 runs at Site A and at Site B.").first).to_be_visible(timeout=60_000)
        shot(looker, pictures, f"6-quarantine-{theme}")
        assert_accessible(looker)
    page.get_by_role("link", name="Fence Site A").click()
    page.get_by_role("button", name="Next").click()
    wait_ready(page, 120)
    expect(page.get_by_text("Nothing is discarded: what Site A wrote").first).to_be_visible()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_text("rbd mirror image demote one/one-10").first).to_be_visible()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Why is this done?").fill("It is back")
    page.get_by_label("Type this phrase").fill(page.locator("code.dr-phrase").inner_text())
    page.get_by_role("button", name="Fence 3 VMs and 5 images at Site A").click()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=120_000)
    expect(page.get_by_role("link", name="Make its copies anew (Reprotect)")).to_be_visible(timeout=60_000)
    shot(page, pictures, "6-fenced")


def bring_home(page: Page, pictures: Path) -> None:
    """What came back is discarded and copied again, and then the group goes home."""
    walk_wizard(page, "Reprotect", "discard web-shop at site-a", pictures, "Discard 5 images at Site A")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=240_000)
    expect(page.get_by_text("are whole again and follow Site B").first).to_be_visible()
    shot(page, pictures, "8-reprotected")
    assert_accessible(page)
    expect(page.get_by_text("Two primaries:")).to_have_count(0, timeout=60_000)
    walk_wizard(page, "Failback", "move web-shop to site-a", pictures)
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible(timeout=240_000)
    shot(page, pictures, "9-home")


def on_paper(page: Page, pictures: Path, folder: Path, name: str, words: str) -> None:
    """Printed, and as a file of its own: the words are there, what is for the hand is not."""
    button = page.get_by_role("button", name="Save as HTML")
    with page.expect_download() as waiting:
        button.click()
    saved = folder / f"{name}.html"
    waiting.value.save_as(saved)
    text = saved.read_text()
    assert words in text
    assert "<button" not in text
    assert "<script" not in text
    page.emulate_media(media="print")
    expect(button).to_be_hidden()
    expect(page.get_by_role("navigation").first).to_be_hidden()
    page.set_viewport_size(SHEET)
    expect(page.locator("thead").first).to_be_visible()  # a table, and not a list of its cells
    sheet = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert sheet <= 0, f"{sheet} pixels are cut off at the right"
    shot(page, pictures, f"7-{name}-on-paper")
    printed = page.pdf(path=pictures / f"{name}.pdf", prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    assert len(printed) > 10_000
    page.emulate_media(media="null")
    page.set_viewport_size({"width": 1440, "height": 1000})


def test_two_people_bring_a_lost_site_s_vms_back_and_later_home_by_clicks(
    tmp_path: Path, require_browser: None
) -> None:
    require_axe()
    pictures = shots(tmp_path) / "disaster"
    with (
        LabProcess("embedded", tmp_path / "lab", "--speed", "20") as lab,
        PortalStack(tmp_path, lab) as portal,
        browser() as chrome,
        new_page(chrome, portal.base_url) as operator,
        new_page(chrome, portal.base_url) as approver,
    ):
        protected(portal)
        assert portal.client("operator").raw("PUT", "/plans/1/rto-target", {"rto_s": 1800}).status_code == 200
        sign_in(operator, "operator")
        sign_in(approver, "approver")
        operator.goto("/disaster-failover?plan=1")
        expect(operator.get_by_text("Not now: nothing can be forced")).to_be_visible(timeout=60_000)
        shot(operator, pictures, "0-refused")
        operator.goto("/")
        lab.client.fail("a", "site-down")
        expect(operator.get_by_text("Not reachable").first).to_be_visible(timeout=90_000)
        ask(operator, pictures)
        goes_wrong_in_part(portal, lab.client)
        approve(approver, pictures)
        console(operator, lab.client, pictures)
        expect(approver.get_by_text("Completed", exact=True).first).to_be_visible(timeout=180_000)
        shot(approver, pictures, "3-run")
        operator.go_back()
        expect(operator.get_by_text("Approved and used").first).to_be_visible()
        shot(operator, pictures, "4-used")
        states = {vm["name"]: vm["state"] for vm in lab.client.status()["sites"]["b"]["vms"].values()}
        assert len(states) == 3
        assert set(states.values()) == {"RUNNING"}, states
        with new_page(chrome, portal.base_url) as manager:
            sign_in(manager, "manager")
            review(manager, pictures, tmp_path)
        with new_page(chrome, portal.base_url, dark=True) as manager:
            in_the_dark(manager, pictures)
        lab.client.restore("a")
        expect(operator.get_by_text("Two primaries: 5 images can be written at both sites")).to_be_visible(
            timeout=120_000
        )
        operator.goto("/plans")
        expect(operator.get_by_text("Two primaries: 5 images can be written at both sites")).to_be_visible()
        shot(operator, pictures, "5-return")
        home = portal.client("operator").get("/plans/1/readiness?kind=failback")
        assert home["state"] == "not_ready", home["findings"]
        with new_page(chrome, portal.base_url, dark=True) as dark:
            fence(operator, dark, pictures)
        bring_home(operator, pictures)
        lost = portal.client("manager").get("/runs/1/review")["losses"]["images"]
        assert len(lost) == 5
        assert all(one["exact"] and one["bound"] for one in lost), lost
        sites = lab.client.status()["sites"]
        assert {vm["state"] for vm in sites["a"]["vms"].values()} == {"RUNNING"}
        assert {side: {image["primary"] for image in sites[side]["images"].values()} for side in "ab"} == {
            "a": {True},
            "b": {False},
        }
