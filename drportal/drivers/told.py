"""What a site's program has told of a large pool, so that it need tell only what is news.

The program reads everything each time and leaves out what it said before; what is kept here is what it would have said.
Whatever does not fit together is forgotten, and then everything is told again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from drportal.drivers import ceph_parse as parse
from drportal.drivers.base import Answer, MirrorStatus
from drportal.drivers.errors import Reason, Refused
from drportal.drivers.observation import ImageObservation

LARGE = 500  # images; a smaller pool is told whole each time

Listing = tuple[tuple[str, ...], dict[str, str]]
Observed = Callable[[str, dict[str, Any]], ImageObservation | None]
Answered = Callable[[str, object], Answer]


@dataclass(slots=True)
class Told:
    """Of one pool. ``number``: of the last answer; 0: nothing is known, and all is asked for.

    It may outlive a conversation: the next one does not know the number and tells everything, of which most is what was
    told before, and is not kept twice.
    """

    number: int = 0
    large: bool = True  # until it is seen
    images: dict[str, ImageObservation] = field(default_factory=dict)
    statuses: dict[str, MirrorStatus] = field(default_factory=dict)
    listing: Listing = ((), {})
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.contextmanager
    def forgetting(self) -> Iterator[None]:
        """What can't be read leaves nothing that is known. Raises Refused."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self.forget()
            raise Refused(
                f"News of a pool came in a shape that can't be read ({error!r}). Nothing may be concluded from it.",
                Reason.UNREADABLE,
            ) from error
        except Refused:
            self.forget()
            raise

    def forget(self) -> None:
        self.number, self.images, self.statuses, self.listing = 0, {}, {}, ((), {})

    def taking(self, observed: Observed, answered: Answered) -> Taking:
        return Taking(self, observed, answered)

    def take(self, content: dict[str, Any], observed: Observed, answered: Answered) -> tuple[Answer, ...]:
        """An answer that has come whole. See ``Taking.end``."""
        taking = self.taking(observed, answered)
        taking.images(content["images"])
        return taking.end(content)


class Taking:
    """One answer on its way: its images as they come, some hundreds at a time, and then its end.

    ``few``: those that came, as they came, while they are no more than a small pool's; ``count``: how many.
    """

    def __init__(self, told: Told, observed: Observed, answered: Answered) -> None:
        self.few: dict[str, Any] | None = {}
        self.count = 0
        self._told, self._observed, self._answered = told, observed, answered
        self._unread = answered("(status)", None)
        self._images: dict[str, ImageObservation] = {}
        self._statuses: dict[str, MirrorStatus | None] = {}
        self._answers: list[Answer] = []

    def images(self, some: dict[str, Any]) -> None:
        """Raises Refused, and then nothing is known any more."""
        self.count += len(some)
        if self.few is not None:
            self.few.update(some)
            if len(self.few) <= LARGE:
                return
            some, self.few = self.few, None
        with self._told.forgetting():
            for name, image in some.items():
                self._image(name, image)

    def end(self, content: dict[str, Any]) -> tuple[Answer, ...]:
        """Bring what is known up to the answer. The raw parts that say something else than before, for the record: of a
        status its state and its words; the figures after them change all the time.

        Raises Refused, and then nothing is known any more.
        """
        told = self._told
        with told.forgetting():
            for name, image in (self.few or {}).items():
                self._image(name, image)
            if content.get("since") == 0:
                told.images, told.statuses = {}, {}
            elif content.get("since") != told.number:
                told.forget()
            told.images.update(self._images)
            told.statuses.update({name: status for name, status in self._statuses.items() if status is not None})
            for name in content["gone"]:
                told.images.pop(name, None)
            for name in (*content["gone"], *(name for name, status in self._statuses.items() if status is None)):
                told.statuses.pop(name, None)
            for times, names in content["stamps"]:
                for name in names:
                    told.statuses[name] = _stamped(told.statuses[name], times)
            if "listing" not in content["same"]:
                said = self._answered("(listing)", content.get("listing"))
                told.listing = parse.parsed(said, parse.image_list)
            told.number = int(content["news"])
        return tuple(self._answers)

    def _image(self, name: str, image: dict[str, Any]) -> None:
        """What is as it was known is not kept twice, and is not for the record."""
        seen, before = self._observed(name, image), self._told.images.get(name)
        if seen is not None:
            if seen.info is not None:
                info = replace(seen.info, answer=self._unread)  # its text was for the record; it is not kept
                if before is None or before.info is None or replace(before.info, answer=self._unread) != info:
                    self._answers.append(seen.info.answer)
                    seen = replace(seen, info=info)
                else:
                    seen = replace(seen, info=before.info)
            self._images[name] = before if before is not None and before == seen else seen
        if "status" not in image:
            self._statuses[name] = None
            return
        status, said = parse.status(self._unread, None, image["status"]), self._told.statuses.get(name)
        if _words(said) != _words(status):
            self._answers.append(self._answered(f"{name} status", image["status"]))
        self._statuses[name] = said if said == status else status


def _words(status: MirrorStatus | None) -> tuple[str, str] | None:
    return (status.state, status.description.split(", {", 1)[0]) if status else None


def _stamped(status: MirrorStatus, times: list[str]) -> MirrorStatus:
    """``times``: of the site's own status, then of its peers'."""
    return replace(status, last_update_text=times[0])
