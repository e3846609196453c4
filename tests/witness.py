"""An independent eye on both sites during a run: it asks the lab, never the portal, who is primary."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from drportal.lab.control import LabClient, LabError


class PrimaryWitness:
    """Looks at the role of every image on both sides as often as it can, in a thread.

    Remembers each time both were primary, and each VM seen running at both. It has looked once when the block begins,
    and looks once more when the block has ended. A witness that could not look proves nothing: that is remembered too.
    """

    def __init__(self, lab: LabClient, pause_s: float = 0.1) -> None:
        self._lab = lab
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.looks = 0
        self.blind: list[str] = []
        self.two_primaries: list[tuple[float, str]] = []
        self.running_twice: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if not self.blind:
            self._try_to_look()

    def _watch(self) -> None:
        while not self._stop.wait(self._pause_s) and not self.blind:
            self._try_to_look()

    def _try_to_look(self) -> None:
        try:
            self._look()
        except LabError as error:
            self.blind.append(str(error))

    def _look(self) -> None:
        sites = self._lab.status()["sites"]
        self.looks += 1
        now = time.time()
        primary = [{name for name, image in sites[side]["images"].items() if image["primary"]} for side in ("a", "b")]
        self.two_primaries += [(now, name) for name in primary[0] & primary[1]]
        running = [
            {vm["name"] for vm in sites[side]["vms"].values() if vm["state"] == "RUNNING"} for side in ("a", "b")
        ]
        self.running_twice += [(now, name) for name in running[0] & running[1]]

    def assert_clean(self, at_least: int = 10) -> None:
        """Never two primaries, never a VM twice, and it did look all the time.

        ``at_least``: looks. Fewer than ten only where the run may be over that soon.
        """
        assert not self.blind, f"the witness could not look: {self.blind}"
        assert self.looks > at_least, f"the witness looked only {self.looks} times"
        assert not self.two_primaries, f"two primaries: {self.two_primaries[:5]}"
        assert not self.running_twice, f"running at both sites: {self.running_twice[:5]}"
