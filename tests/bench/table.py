"""``python -m tests.bench.table``: the table of ten thousand images in a headless Chromium.

First rows, frames while it is scrolled, answers of filters. The peer is the same rows as one plain HTML table, written
by no framework and drawn whole by the same browser.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests import with_postgres
from tests.bench.goals import Figure, p95, report
from tests.end_to_end.browser import browser, new_page, sign_in
from tests.stack import LabProcess, PortalClient, PortalStack, Program, wait_until

SCROLLING = Path(__file__).with_name("scrolling.js").read_text()
TABLE = ".dr-big"
FIRST_ROWS_S, FRAMES, FILTER_S = 1.0, 50.0, 0.2
# A person who reads while scrolling, and one who looks for something: pixels a frame.
SPEEDS = {"slowly": 30, "fast": 300}
# What a person types and chooses; each is asked for by its own address, so that nothing comes from a cache.
FILTERS = ("q=one-12", "q=shop-09", "verdict=protected", "verdict=behind", "q=00&verdict=protected", "q=nothing-has-it")


def measure(
    images: int, folder: Path, *, tries: int = 5, seconds: float = 6.0, shots: Path | None = None
) -> list[Figure]:
    with LabProcess("embedded", folder / "lab", "--speed", "5") as lab, PortalStack(folder, lab) as stack:
        operator = stack.client("operator")
        wait_until("the images are known", lambda: operator.get("/pairs/1/images")["total"] > 0, 60)
        stack.programs["poller"].stop()
        argv = [sys.executable, "-m", "tests.bench.filling"]
        filling = Program("fill", [*argv, "fill", str(images)], stack.env, folder / "fill.log")
        filling.start()
        assert filling.process is not None
        assert filling.process.wait() == 0, filling.log.read_text()[-3000:]
        pulse = Program("pulse", [*argv, "pulse"], stack.env, folder / "pulse.log")
        pulse.start()
        try:
            wait_until("all images are watched", lambda: _known(operator) == images, 60)
            return [*_filters(operator, tries), *_in_the_browser(stack, operator, tries, seconds, shots)]
        finally:
            pulse.stop()


def _known(operator: PortalClient) -> int:
    page = operator.get("/pairs/1/images?limit=1")
    return 0 if "cannot_tell" in page["counts"] else int(page["total"])


def _filters(operator: PortalClient, tries: int) -> list[Figure]:
    took: list[float] = []
    for _ in range(4 * tries):
        for asked in FILTERS:
            began = time.perf_counter()
            operator.get(f"/pairs/1/images?limit=100&{asked}")
            took.append(time.perf_counter() - began)
    bare: list[float] = []  # the same way without a table: HTTP, session, roles
    for _ in range(4 * tries):
        began = time.perf_counter()
        operator.get("/pairs")
        bare.append(time.perf_counter() - began)
    peer = f"the shortest read of the API: {p95(bare) * 1000:.0f} ms"
    return [
        Figure("answer to a filter, p95", p95(took) * 1000, "ms", FILTER_S * 1000, peer=peer),
        Figure("answer to a filter, median", statistics.median(took) * 1000, "ms"),
        Figure("answer to a filter, worst", max(took) * 1000, "ms"),
    ]


def _in_the_browser(
    stack: PortalStack, operator: PortalClient, tries: int, seconds: float, shots: Path | None
) -> list[Figure]:
    with browser() as running, new_page(running, stack.base_url) as page:
        sign_in(page, "operator")
        firsts = [_first_rows(page) for _ in range(tries)]
        drawn = page.locator(f"{TABLE} tbody tr").count()
        frames = {word: _frames(page, pixels, seconds) for word, pixels in SPEEDS.items()}
        end_s = _to_the_end(page)
        if shots is not None:
            shots.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=str(shots / "table-end.png"))
        plain_first, plain = _plain(page, operator, seconds)
    first = statistics.median(firsts)
    found = [
        Figure("first rows, median", first, "s", FIRST_ROWS_S, peer=f"a plain table, drawn whole: {plain_first:.2f} s"),
        Figure("first rows, worst", max(firsts), "s", FIRST_ROWS_S),
        Figure("rows drawn at a time", drawn, ""),
    ]
    for word, times in frames.items():
        peer = f"a plain table, drawn whole: {_per_second(plain[word]):.0f}"
        found += [
            Figure(f"frames a second, scrolled {word}", _per_second(times), "", FRAMES, more_is_better=True, peer=peer),
            Figure(f"longest frame, scrolled {word}", max(times), "ms", peer=f"{max(plain[word]):.0f} ms"),
        ]
    return [*found, Figure("from the first row to the last (End), until it is read", end_s, "s")]


def _first_rows(page: Page) -> float:
    """From the click in the navigation, as by a person who is at work, with nothing of the images read before: the page
    that is left has been opened anew and is at rest."""
    page.goto("/account")
    images = page.get_by_role("link", name="Images", exact=True)
    expect(images).to_be_visible()
    page.wait_for_load_state("networkidle")
    began = time.perf_counter()
    images.click()
    page.locator(f"{TABLE} tbody button").nth(5).wait_for()
    return time.perf_counter() - began


def _frames(page: Page, pixels: int, seconds: float) -> list[float]:
    times: list[float] = page.evaluate(SCROLLING, [TABLE, pixels, seconds])
    return times


def _per_second(times: list[float]) -> float:
    return 1000 * len(times) / sum(times)


def _to_the_end(page: Page) -> float:
    page.locator(TABLE).evaluate("frame => { frame.scrollTop = 0 }")
    page.locator(f"{TABLE} tbody button").first.focus()
    began = time.perf_counter()
    page.keyboard.press("End")
    rows = page.get_by_role("grid", name="Images").get_attribute("aria-rowcount")
    page.locator(f'{TABLE} tr[aria-rowindex="{rows}"] button').wait_for(timeout=60_000)
    return time.perf_counter() - began


def _plain(page: Page, operator: PortalClient, seconds: float) -> tuple[float, dict[str, list[float]]]:
    """All rows with the same words as one HTML page: the time until it is drawn, and its frames."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = operator.get(f"/pairs/1/images?limit=500&cursor={cursor}")
        rows, cursor = rows + answer["items"], answer["next"]
    body = "".join(
        "<tr style='height:48px'>"
        + "".join(
            f"<td>{cell}</td>"
            for cell in (
                image["name"], image["verdict"], image["primary_site"],
                *(side["state"] for side in image["sides"].values()),
                image["exposure"]["sentence"][:20], ", ".join(vm["name"] for vm in image["vms"]), image["size_bytes"],
                image["mode"],
            )
        )
        + "</tr>"
        for image in rows
    )  # fmt: skip
    page.goto("about:blank")
    began = time.perf_counter()
    page.set_content(f"<div class='dr-big' style='height:600px;overflow:auto'><table>{body}</table></div>")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    drawn = time.perf_counter() - began
    return drawn, {word: _frames(page, pixels, seconds) for word, pixels in SPEEDS.items()}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.table", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    args = parser.parse_args()
    if "DRPORTAL_TEST_DATABASE_URL" not in os.environ and with_postgres.server_programs() is not None:
        return with_postgres.main([sys.executable, "-m", "tests.bench.table", *sys.argv[1:]], fsync="on")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures = measure(args.images, Path(folder))
    database = "PostgreSQL" if "DRPORTAL_TEST_DATABASE_URL" in os.environ else "SQLite"
    loads = f"load average {before:.1f} before, {os.getloadavg()[0]:.1f} after, {os.cpu_count()} cores"
    sys.stdout.write(f"{args.images} images, {database}, {loads}\n\n{report(figures)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
