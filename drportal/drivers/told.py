"""What a site's program has told of a large pool, so that it need tell only what is news.

The program reads everything each time and leaves out what it said before; what is kept here is what it would have said.
Whatever does not fit together is forgotten, and then everything is told again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
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

    def forget(self) -> None:
        self.number, self.images, self.statuses, self.listing = 0, {}, {}, ((), {})

    def take(self, content: dict[str, Any], observed: Observed, answered: Answered) -> tuple[Answer, ...]:
        """Bring what is known up to an answer. The raw parts that say something else than before, for the record: of a
        status its state and its words; the figures after them change all the time.

        Raises Refused, and knows nothing any more.
        """
        try:
            before = self.images, self.statuses
            if content.get("since") == 0:
                self.images, self.statuses = {}, {}
            elif content.get("since") != self.number:
                self.forget()
            answers = self._news(content, before, observed, answered)
            for times, names in content["stamps"]:
                for name in names:
                    self.statuses[name] = _stamped(self.statuses[name], times)
            for name in content["gone"]:
                self.images.pop(name, None)
                self.statuses.pop(name, None)
            if "listing" not in content["same"]:
                told = answered("(listing)", content.get("listing"))
                self.listing = parse.parsed(told, parse.image_list)
            self.number = int(content["news"])
        except (KeyError, TypeError, ValueError) as error:
            self.forget()
            raise Refused(
                f"News of a pool came in a shape that can't be read ({error!r}). Nothing may be concluded from it.",
                Reason.UNREADABLE,
            ) from error
        except Refused:
            self.forget()
            raise
        return tuple(answers)

    def _news(
        self,
        content: dict[str, Any],
        before: tuple[Mapping[str, ImageObservation], Mapping[str, MirrorStatus]],
        observed: Observed,
        answered: Answered,
    ) -> list[Answer]:
        answers, (images, statuses) = [], before
        unread = answered("(status)", None)
        for name, image in content["images"].items():
            seen = observed(name, image)
            if seen is not None:
                old = images.get(name)
                if seen.info is not None:
                    info = replace(seen.info, answer=unread)  # its text was for the record; it is not kept
                    if old is None or old.info is None or replace(old.info, answer=unread) != info:
                        answers.append(seen.info.answer)
                        seen = replace(seen, info=info)
                    else:
                        seen = replace(seen, info=old.info)
                self.images[name] = old if old == seen and old is not None else seen
            if "status" not in image:
                self.statuses.pop(name, None)
                continue
            status, said = parse.status(unread, None, image["status"]), statuses.get(name)
            if _words(said) != _words(status):
                answers.append(answered(f"{name} status", image["status"]))
            self.statuses[name] = said if said == status and said is not None else status
        return answers


def _words(status: MirrorStatus | None) -> tuple[str, str] | None:
    return (status.state, status.description.split(", {", 1)[0]) if status else None


def _stamped(status: MirrorStatus, times: list[str]) -> MirrorStatus:
    """``times``: of the site's own status, then of its peers'."""
    return replace(status, last_update_text=times[0])
