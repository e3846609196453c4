"""axe-core on a page: what a person with a screen reader, a keyboard or weak eyes would stumble over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[2] / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
SERIOUS = frozenset({"serious", "critical"})


def require_axe() -> None:
    """Says so where axe-core is not installed; DRPORTAL_REQUIRE_ALL=1 makes that a failure."""
    if AXE.exists():
        return
    words = "axe-core is not installed (npm ci in frontend/)"
    if os.environ.get("DRPORTAL_REQUIRE_ALL") == "1":
        pytest.fail(words)
    pytest.skip(words)


def assert_accessible(page: Page) -> None:
    """No violation of WCAG 2.2 A or AA, nor of axe's own practices, that axe calls serious or critical."""
    page.evaluate(AXE.read_text())
    found: list[dict[str, Any]] = page.evaluate("async () => (await axe.run(document)).violations")
    told = [
        f"{each['impact']}: {each['id']}: {each['help']}\n"
        + "\n".join(f"    {node['html'][:200]}\n    {node['failureSummary'][:300]}" for node in each["nodes"][:4])
        for each in found
        if each["impact"] in SERIOUS
    ]
    assert not told, f"{page.url}\n" + "\n".join(told)
