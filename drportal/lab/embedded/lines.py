"""The lines between the lab's hosts. All are ports of one machine, so what is cut for whom has to be said."""

from __future__ import annotations

from drportal.lab.embedded.door import Door
from drportal.site_program.reach import reach
from drportal.site_program.wire import Json


class Lines:
    """A site that is cut off keeps its door shut; who is not cut off from it looks behind the door."""

    def __init__(self) -> None:
        self._cut: dict[str, tuple[Door, frozenset[str]]] = {}

    def cut(self, site: str, door: Door, seen_from: frozenset[str]) -> None:
        """``seen_from``: the hosts (a, b, witness) whose lines to it hold. The portal's does not."""
        self._cut[site] = (door, seen_from)

    def mend(self, site: str) -> None:
        self._cut.pop(site, None)

    def look(self, host: str, targets: list[Json]) -> list[Json]:
        """As the site program's own ``reach``, from this host."""
        seen = reach([self._way(host, target) for target in targets])
        return [dict(one, **target) for one, target in zip(seen, targets, strict=True)]

    def _way(self, host: str, target: Json) -> Json:
        for door, seen_from in list(self._cut.values()):
            if host in seen_from and target["port"] == door.port:
                return dict(target, port=door.inner)
        return target
