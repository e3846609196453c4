"""The system's Chromium under Playwright: no browser of Playwright's own is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def chromium() -> str | None:
    """The path of an installed Chromium or Chrome, if there is one."""
    return next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )


@contextmanager
def browser() -> Iterator[Browser]:
    """For several pages, one after the other. Two of these at a time cannot be: Playwright's doing."""
    expect.set_options(timeout=15_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def new_page(browser: Browser, base_url: str, *, dark: bool = False) -> Iterator[Page]:
    """A page without memory. Script errors and refusals by the content security policy fail at the end."""
    context = browser.new_context(
        base_url=base_url,
        viewport={"width": 1440, "height": 1000},
        color_scheme="dark" if dark else "light",
        locale="en-GB",
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(error.stack or str(error)))
    page.on(
        "console",
        lambda message: troubles.append(message.text) if "Content Security Policy" in message.text else None,
    )
    try:
        yield page
        assert not troubles, troubles
    except Exception as error:
        error.add_note(f"On {page.url} stood then: {page.locator('body').inner_text()[:3000]}")
        error.add_note(f"The browser complained of: {troubles or 'nothing'}")
        raise
    finally:
        context.close()


@contextmanager
def browser_page(base_url: str, *, dark: bool = False) -> Iterator[Page]:
    """A page of a browser of its own."""
    with browser() as running, new_page(running, base_url, dark=dark) as page:
        yield page


def shots(tmp_path: Path) -> Path:
    """Where pictures go: DRPORTAL_SHOTS, when somebody wants to look at them."""
    return Path(os.environ.get("DRPORTAL_SHOTS") or tmp_path / "shots")


def sign_in(page: Page, role: str, password: str = "") -> None:
    page.goto("/")
    page.get_by_label("User name").fill(role)
    page.get_by_label("Password").fill(password or f"{role}-demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def open_page(page: Page, name: str) -> None:
    """By the menu: a page may lead to another one under the same words."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name=name, exact=True).click()


def shot(page: Page, folder: Path, name: str) -> None:
    """A screenshot of the whole page, after what moves has come to rest."""
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(folder / f"{name}.png"), full_page=True, animations="disabled")
