"""Second factors and sign-in by an identity provider, in a real browser: its own keys (Chromium's virtual ones),
its own way to a provider and back.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from playwright.sync_api import Browser, Page, expect

from drportal.roles import PEOPLE
from tests.end_to_end.accessible import assert_accessible, require_axe
from tests.end_to_end.browser import browser, new_page, shot, shots
from tests.people.provider import CLIENT, OidcProvider, running
from tests.people.test_factors import code_of
from tests.stack import EmptyPortal, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FORGET_PROOF = """
from django.contrib.sessions.models import Session
for row in Session.objects.all():
    store = row.get_session_store_class()(row.session_key)
    store.pop("proved_at", None)
    store.save()
"""
PEOPLE_ARE_HERE = f"""
from django.contrib.auth.models import User
from drportal.people.grants import roles_set
from drportal.roles import Role
for role in {[role.value for role in PEOPLE]!r}:
    person = User.objects.create_user(role, password={{password!r}})
    roles_set(person=person, roles=[Role(role)], actor="test", reason="a test", even_the_last=True)
"""


class WebOnly(EmptyPortal):
    """The web server and its Redis, reached by the one name without TLS that browsers let keys be used for."""

    def __init__(self, folder: Path, provider: OidcProvider) -> None:
        oidc = {f"DRPORTAL_{name}": value for name, value in CLIENT.items()}
        super().__init__(
            folder,
            None,  # type: ignore[arg-type]  # there is no lab
            DRPORTAL_DEMO="0",
            DRPORTAL_REQUIRE_MFA="administrator",
            DRPORTAL_OIDC_ISSUER=provider.issuer,
            DRPORTAL_OIDC_NAME="Example ID",
            DRPORTAL_OIDC_ROLES="dr-ops: operator",
            **oidc,
        )
        self.base_url = f"http://localhost:{self.web_port}"

    def __enter__(self) -> Self:
        self.programs["redis"].start()
        self.manage("migrate", "--verbosity", "0")
        self.manage("shell", "-c", PEOPLE_ARE_HERE.format(password=self.password("")))
        self.programs["web"].start()
        wait_until("the web server answers", self.web_answers, 60)
        return self

    def password(self, role: str) -> str:
        return "correct horse battery staple"


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcProvider]:
    with running(tmp_path_factory.mktemp("provider") / "log") as made:
        made.says("sub-ines", preferred_username="ines", name="Ines Iversen", groups=["dr-ops"])
        yield made


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory, provider: OidcProvider) -> Iterator[WebOnly]:
    made = WebOnly(tmp_path_factory.mktemp("portal"), provider)
    try:
        yield made.__enter__()
    finally:
        made.__exit__(None, None, None)


@pytest.fixture(scope="module")
def chrome(require_browser: None) -> Iterator[Browser]:
    require_axe()
    with browser() as made:
        yield made


@pytest.fixture(params=["light", "dark"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check(page: Page, folder: Path, name: str) -> None:
    shot(page, folder, name)
    assert_accessible(page)


def give_password(page: Page, username: str, portal: WebOnly) -> None:
    page.goto("/")
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(portal.password(username))
    page.get_by_role("button", name="Sign in", exact=True).click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="(", exact=False).last.click()
    page.get_by_role("menuitem", name="Sign out").click()


def plug_in_key(page: Page) -> Any:
    """A security key in the machine, whose owner touches it whenever it blinks."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2", "transport": "usb", "hasResidentKey": False, "hasUserVerification": False,
        "automaticPresenceSimulation": True,
    }  # fmt: skip
    return devtools, devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"]


def test_a_security_key_is_added_named_used_and_removed(chrome: Browser, portal: WebOnly, tmp_path: Path) -> None:
    pictures = shots(tmp_path) / "second-factor"
    with new_page(chrome, portal.base_url) as page:
        devtools, key = plug_in_key(page)
        give_password(page, "operator", portal)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.goto("/account")
        page.get_by_label("A security key: what do you call it?").fill("Blue key")
        page.get_by_role("button", name="Add the key").click()
        expect(page.get_by_text("Your recovery codes, shown this once")).to_be_visible()
        check(page, pictures, "key-added")
        page.get_by_role("button", name="I have kept them").click()
        page.get_by_role("button", name="Rename Blue key").click()
        page.get_by_label("Another name for Blue key").fill("Green key")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("grid", name="Second factors")).to_contain_text("Green key")
        assert len(devtools.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"]) == 1

        sign_out(page)
        expect(page.get_by_label("User name")).to_be_visible()
        give_password(page, "operator", portal)
        expect(page.get_by_role("heading", name="Second factor of operator")).to_be_visible()
        check(page, pictures, "second-step")
        page.get_by_role("button", name="Begin again").click()
        expect(page.get_by_label("User name")).to_be_visible()
        give_password(page, "operator", portal)
        expect(page.get_by_role("heading", name="Second factor of operator")).to_be_visible()
        page.reload()
        page.get_by_role("button", name="Use your security key").click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()

        portal.manage("shell", "-c", FORGET_PROOF)
        page.goto("/account")
        page.get_by_role("button", name="Remove Green key").click()
        page.get_by_role("button", name="Give a security key instead").click()
        page.get_by_role("button", name="Use your security key").click()
        expect(page.get_by_text("Your key has answered.")).to_be_visible()
        check(page, pictures, "key-again")
        page.get_by_role("button", name="Give the key's answer").click()
        expect(page.get_by_text("Now do it once more.")).to_be_visible()
        page.get_by_role("button", name="Remove Green key").click()
        expect(page.get_by_text("You have no second factor")).to_be_visible()


def test_a_key_that_is_not_the_persons_opens_nothing(chrome: Browser, portal: WebOnly, tmp_path: Path) -> None:
    with new_page(chrome, portal.base_url) as page:
        devtools, key = plug_in_key(page)
        give_password(page, "viewer", portal)
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        page.goto("/account")
        page.get_by_label("A security key: what do you call it?").fill("Blue key")
        page.get_by_role("button", name="Add the key").click()
        page.get_by_role("button", name="I have kept them").click()
        sign_out(page)
        expect(page.get_by_label("User name")).to_be_visible()
        devtools.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": key})
        plug_in_key(page)
        give_password(page, "viewer", portal)
        page.get_by_role("button", name="Use your security key").click()
        expect(page.get_by_text("No key answered", exact=False).first).to_be_visible(timeout=90_000)
        expect(page.get_by_role("heading", name="Second factor of viewer")).to_be_visible()


def test_who_must_have_one_sets_up_an_app_first(chrome: Browser, portal: WebOnly, theme: str, tmp_path: Path) -> None:
    pictures = shots(tmp_path) / f"second-factor-{theme}"
    portal.manage("person", "factors", "administrator", "--remove")
    with new_page(chrome, portal.base_url, dark=theme == "dark") as page:
        give_password(page, "administrator", portal)
        expect(page.get_by_role("heading", name="Your role demands a second factor")).to_be_visible()
        page.goto("/sites")
        expect(page.get_by_role("heading", name="Your role demands a second factor")).to_be_visible()
        page.get_by_role("button", name="Set up an app that shows codes").click()
        expect(page.get_by_role("img", name="QR code with the secret")).to_be_visible()
        check(page, pictures, "demanded")
        secret = page.locator(".dr-command code").inner_text()
        page.get_by_label("The code that it shows now").fill("000000")
        page.get_by_role("button", name="Add the app").click()
        expect(page.get_by_text("The code is not the one", exact=False)).to_be_visible()
        page.get_by_label("The code that it shows now").fill(code_of(secret))
        page.get_by_role("button", name="Add the app").click()
        page.get_by_role("button", name="I have kept them").click()
        expect(page.get_by_role("heading", name="Sites")).to_be_visible()
        page.goto("/access")
        expect(page.get_by_role("grid", name="Who holds which role, where")).to_contain_text("has a second factor")
        check(page, pictures, "access")
        page.goto("/account")
        expect(page.get_by_text("10 recovery codes left.")).to_be_visible()
        check(page, pictures, "account")
        sign_out(page)
        expect(page.get_by_label("User name")).to_be_visible()
        give_password(page, "administrator", portal)
        page.get_by_label("A code of your app, or a recovery code").fill(code_of(secret, +1))  # a code counts once
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_the_way_over_the_provider_and_out_again(
    chrome: Browser, portal: WebOnly, provider: OidcProvider, theme: str, tmp_path: Path
) -> None:
    pictures = shots(tmp_path) / f"second-factor-{theme}"
    provider.says("sub-otto", preferred_username="otto", groups=["canteen"])
    with new_page(chrome, portal.base_url, dark=theme == "dark") as page:
        page.goto("/runs")
        check(page, pictures, "sign-in")
        for subject in ("sub-otto", "sub-ines"):
            page.get_by_role("button", name="Sign in with Example ID").click()
            page.wait_for_url(f"{provider.issuer}/**")
            page.locator("input[name=sub]").first.fill(subject)
            page.locator("form button:not([value=deny])").first.click()
            page.wait_for_url(f"{portal.base_url}/**")
            if subject == "sub-otto":
                expect(page.get_by_text("None of your groups at Example ID gives you a role here.")).to_be_visible()
                check(page, pictures, "sign-in-no-group")
        expect(page.get_by_role("heading", name="Runs")).to_be_visible()
        assert page.url.endswith("/runs")
        portal.manage("shell", "-c", FORGET_PROOF)
        page.goto("/account")
        page.get_by_label("Name: what is it for?").fill("nightly")
        page.get_by_role("button", name="Make a token").click()
        again = page.get_by_role("button", name="Sign in with Example ID again")
        again.scroll_into_view_if_needed()
        check(page, pictures, "provider-again")
        again.click()
        page.locator("input[name=sub]").first.fill("sub-ines")
        page.locator("form button:not([value=deny])").first.click()
        page.wait_for_url(f"{portal.base_url}/account")
        page.get_by_label("Name: what is it for?").fill("nightly")
        page.get_by_role("button", name="Make a token").click()
        expect(page.get_by_text("The token nightly, shown this once")).to_be_visible()
        sign_out(page)
        page.wait_for_url(f"{provider.issuer}/oauth2/end_session**")
