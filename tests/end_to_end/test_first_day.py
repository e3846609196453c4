"""The first day: two sites, their keys, a pair and a plan, all by clicks, from a portal that knows nothing."""

from __future__ import annotations

import re
from pathlib import Path

import asyncssh
import pytest
from playwright.sync_api import Locator, Page, expect

from drportal.lab.control import SiteDescription
from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser_page, open_page, shot, shots, sign_in
from tests.stack import EmptyPortal, LabProcess

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Administrator:
    """Somebody with the sites' addresses and secrets on a sheet of paper."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page, self.pictures = page, pictures

    def picture(self, name: str) -> None:
        shot(self.page, self.pictures, name)
        assert_accessible(self.page)

    def to(self, name: str) -> None:
        open_page(self.page, name)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def result(self, part: str) -> Locator:
        return self.page.get_by_role("grid", name="Result of the connection test").get_by_role(
            "row", name=re.compile(f"^{part}")
        )

    def set_up(self, key: str, site: SiteDescription) -> None:
        page = self.page
        self.to("Sites")
        page.get_by_role("link", name="Set up a site").first.click()
        fields = {
            "Name": f"Site {key.upper()}",
            "Short name": f"site-{key}",
            "SSH host": site.ssh.host,
            "SSH port": str(site.ssh.port),
            "SSH user": site.ssh.user,
            "OpenNebula address": site.opennebula.url,
        }
        for label, value in fields.items():
            page.get_by_label(re.compile(f"^{label}")).fill(value)
        expect(page.get_by_role("button", name="Set up")).to_have_attribute("aria-disabled", "true")
        page.get_by_label("OpenNebula user").fill(site.opennebula.username)
        page.get_by_label("How Ceph is reached").select_option("rbd")  # all that the embedded lab answers
        self.press("Set up")
        expect(page.get_by_role("heading", name=f"Site {key.upper()}", level=1)).to_be_visible()

    def hand_over(self, site: SiteDescription) -> None:
        page = self.page
        page.get_by_label("SSH private key").fill(site.ssh.private_key)
        page.get_by_role("button", name="Store").first.click()
        expect(page.get_by_label("SSH private key")).to_have_value("")
        expect(page.get_by_role("button", name="Replace")).to_have_count(1)
        page.get_by_label("OpenNebula password").fill(site.opennebula.password)
        page.get_by_role("button", name="Store").click()
        expect(page.get_by_role("button", name="Replace")).to_have_count(2)

    def accept_key(self, site: SiteDescription) -> None:
        """Nothing is accepted that was not compared: only the fingerprint on the paper."""
        page = self.page
        self.press("Test the connection")
        expect(self.result("SSH")).to_contain_text("Host key not accepted yet", timeout=30_000)
        self.picture("host-key-offered")
        accept = page.get_by_role("button", name=re.compile("Accept . compared"))
        expect(accept).to_have_attribute("aria-disabled", "true")
        fingerprint = asyncssh.import_public_key(site.ssh.host_key).get_fingerprint()
        page.get_by_label(fingerprint).check()
        accept.click()
        for part in ("SSH", "Ceph", "OpenNebula"):
            expect(self.result(part)).to_contain_text("Works", timeout=30_000)
        self.picture("connection-works")


def test_two_sites_are_set_up_by_clicks_and_a_plan_is_made(require_browser: None, tmp_path: Path) -> None:
    require_axe()
    with (
        LabProcess("embedded", tmp_path / "lab", "--speed", "10") as lab,
        EmptyPortal(tmp_path, lab) as portal,
        browser_page(portal.base_url) as page,
    ):
        person = Administrator(page, shots(tmp_path) / "first-day")
        sign_in(page, "administrator", portal.password("administrator"))
        for key, site in lab.client.description.sites.items():
            person.set_up(key, site)
            person.hand_over(site)
            person.accept_key(site)

        person.to("Sites")
        person.press("Make the pair")
        expect(page.get_by_role("heading", name="Site A and Site B")).to_be_visible()
        person.press("Discover now")
        expect(page.get_by_text("Last discovery: Site A: 5 images, 3 VMs")).to_be_visible(timeout=60_000)
        person.picture("pair")

        make_a_plan(person)
        operator = portal.client("operator")
        (plan,) = operator.get("/plans")["items"]
        assert (plan["group"]["name"], plan["vm_count"], plan["image_count"]) == ("shop", 2, 3)
        portal.wait_ready(operator, plan["id"], "planned_failover")

        # Secrets went in, and nothing of them comes out.
        told = page.content() + str(portal.client("administrator").get("/sites"))
        assert lab.client.description.sites["a"].opennebula.password not in told
        assert "PRIVATE KEY-----\\n" not in told


def make_a_plan(person: Administrator) -> None:
    page = person.page
    person.to("Plans")
    page.get_by_role("link", name="Make a plan").first.click()
    page.get_by_label("Name of the plan").fill("shop by night")
    page.get_by_label("Name of the protection group").fill("shop")
    page.get_by_role("radio", name="Site A; the other site is Site B").check()
    person.press("Next")
    page.get_by_label("db-1", exact=True).check()
    page.get_by_label("web-1", exact=True).check()
    page.get_by_label("Priority of db-1").select_option("1")
    person.picture("plan-vms")
    person.press("Next")
    becomes = page.get_by_label(re.compile("production-a .* becomes"))
    becomes.select_option(value=becomes.locator("option", has_text="production-b").get_attribute("value"))
    person.picture("plan-networks")
    person.press("Next")
    person.picture("plan-review")
    person.press("Make the plan")
    expect(page.get_by_role("heading", name="shop by night", level=1)).to_be_visible()


def test_a_host_with_another_key_and_a_wrong_password_are_called_so(require_browser: None, tmp_path: Path) -> None:
    """Somebody rebuilt the host, or stands in between; and a password has been changed at the site."""
    require_axe()
    with (
        LabProcess("embedded", tmp_path / "lab") as lab,
        EmptyPortal(tmp_path, lab) as portal,
        browser_page(portal.base_url, dark=True) as page,
    ):
        person = Administrator(page, shots(tmp_path) / "first-day")
        sign_in(page, "administrator", portal.password("administrator"))
        site = lab.client.description.sites["a"]
        person.set_up("a", site)
        person.hand_over(site)
        person.accept_key(site)
        page.get_by_label("OpenNebula password").fill("wrong")
        page.get_by_role("button", name="Replace").last.click()
        expect(page.get_by_label("OpenNebula password")).to_have_value("")
        lab.client.fail("a", "wrong-host-key")
        person.press("Test the connection")
        expect(person.result("SSH")).to_contain_text("Another identity than accepted", timeout=30_000)
        expect(person.result("OpenNebula")).to_contain_text("Refused")
        expect(page.get_by_role("button", name=re.compile("Accept 0 compared"))).to_have_attribute(
            "aria-disabled", "true"
        )
        person.picture("another-identity")
        (known,) = portal.client("administrator").get("/sites")["items"]
        assert [key["line"].split()[:2] for key in known["host_keys"]] == [site.ssh.host_key.split()[:2]]
