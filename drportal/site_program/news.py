"""What is news since the portal asked last: of ten thousand images read every few seconds most are as they were."""

import hashlib
import json
import random
import threading
from typing import Any, Dict, List, Tuple

from drportal.site_program.wire import Json

_KEPT = 4  # questions that are remembered in one conversation

Stamps = Tuple[str, ...]
Seen = Tuple[bytes, Stamps]


class News:
    """Remembers, as digests, what was told last to each question of this conversation."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: Dict[str, Tuple[int, Dict[str, Seen], Dict[str, bytes]]] = {}

    def picked(self, request: Json, images: Dict[str, Json], last: Json) -> Tuple[Dict[str, Json], Json]:
        """(the images to tell, the last line): without what ``request["news"]``, the number of an earlier answer, had.

        The last line says ``since`` (that number; 0: this is everything), its own number as ``news``, ``gone`` (names),
        ``same`` (parts of the pool that are as they were), and ``stamps``: [the new times, names] of images of which
        nothing but the times of their status is new.
        """
        key = json.dumps([request["pool"], sorted(request["parts"])])
        seen = {name: _seen(image) for name, image in images.items()}
        parts = {"listing": _digest(last["listing"])} if "listing" in last else {}
        with self._lock:
            number, before, parts_before = self._last.get(key, (0, {}, {}))
            since = number if request["news"] == number else 0
            if since == 0:
                before, parts_before = {}, {}
            if key not in self._last and len(self._last) >= _KEPT:
                self._last.clear()
            # From a number of chance: one of another conversation, whose answer was lost, is not taken for ours.
            following = number + 1 if number else 1 + random.SystemRandom().randrange(1 << 50)
            self._last[key] = (following, seen, parts)
        same = [part for part, digest in parts.items() if parts_before.get(part) == digest]
        stamps: Dict[Stamps, List[str]] = {}
        told = {}
        for name, (digest, times) in seen.items():
            old = before.get(name)
            if old is None or old[0] != digest:
                told[name] = images[name]
            elif old[1] != times:
                stamps.setdefault(times, []).append(name)
        rest = {part: value for part, value in last.items() if part not in same}
        rest.update(
            since=since,
            news=following,
            gone=[name for name in before if name not in seen],
            same=same,
            stamps=[[list(times), names] for times, names in stamps.items()],
        )
        return told, rest


def _seen(image: Json) -> Seen:
    """A digest of all but the times of the status, and these: its own, then its peers'."""
    status = image.get("status")
    if not isinstance(status, dict):
        return _digest(image), ()
    peers = status.get("peer_sites") or []
    times = tuple(str(one.get("last_update", "")) for one in [status] + list(peers))
    timeless = dict(status, last_update="", peer_sites=[dict(peer, last_update="") for peer in peers])
    return _digest(dict(image, status=timeless)), times


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
