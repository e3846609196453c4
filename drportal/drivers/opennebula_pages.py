"""Large pools of OpenNebula: read page by page, and parsed only where a document is new.

A front end tells ten thousand documents whole each time, some 60 MB; most of them are as they were.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from drportal.drivers import opennebula_parse as parse
from drportal.drivers.base import Answer

Item = TypeVar("Item")
Made = TypeVar("Made", covariant=True)
PAGE = 500
TRIES = 5

# Figures of monitoring are new each time, and nothing is made of them.
_FIGURES = re.compile(r"<MONITORING>.*?</MONITORING>|<LAST_POLL>\d*</LAST_POLL>", re.DOTALL)


class Make(Protocol[Made]):
    def __call__(self, element: ET.Element, text: str = "", /) -> Made: ...


@dataclass(slots=True)
class Remembered(Generic[Item]):
    """One pool's documents as they were last read: a digest of the text -> what was made of it."""

    tag: str
    make: Make[Item]
    items: dict[bytes, Item] = field(default_factory=dict)

    def page(self, body: object, new: dict[bytes, Item]) -> list[Item]:
        """The items of a page; ``new`` gets them too. Raises ValueError for what is no such document."""
        texts = split(body, self.tag) if isinstance(body, str) else None
        if texts is None:
            return [self.make(element) for element in parse.document(body).findall(self.tag)]
        found = []
        for text in texts:
            digest = hashlib.blake2b(_FIGURES.sub("", text).encode(), digest_size=16).digest()
            item = new.get(digest) or self.items.get(digest) or self.make(parse.document(text), text)
            new[digest] = item
            found.append(item)
        return found


def split(body: str, tag: str) -> list[str] | None:
    """The texts of a pool's items, each a document of its own; None where it can't be told simply, and surely, where
    one ends: at an element of this name inside another, or in words of a guest that look like one.
    """
    begin, end = f"<{tag}>", f"</{tag}>"
    head = re.match(r"\s*<[A-Z_]+>\s*", body)
    if head is None:
        return None
    found, place = [], head.end()
    while body.startswith(begin, place):
        after = body.find(end, place) + len(end)
        if after < place + len(begin):
            return None
        found.append(body[place:after])
        place = after
        while body[place : place + 1].isspace():
            place += 1
    return found if re.fullmatch(r"</[A-Z_]+>\s*", body[place:]) and all(map(_closed, found)) else None


def _closed(text: str) -> bool:
    """Whether no section of character data and no comment is left open at the last tag, so that it is a tag."""
    return text.count("<![CDATA[") == text.count("]]>") and "<!--" not in text and "<?" not in text


async def read_pages(
    ask: Callable[[int, int, dict[bytes, Item]], Awaitable[tuple[list[Item], Answer]]],
    remembered: Remembered[Item],
    number: Callable[[Item], int],
) -> tuple[tuple[Item, ...], Answer]:
    """``ask(offset, size, new)``: one page. Each begins with the last item of the page before, so that one that was
    added or removed meanwhile is noticed; then all is read again, and in the end at one go.
    """
    for _ in range(TRIES):
        new: dict[bytes, Item] = {}
        found, answer = await ask(0, PAGE, new)
        last = found
        while len(last) == PAGE:
            last, _ = await ask(len(found) - 1, PAGE, new)
            if not last or number(last[0]) != number(found[-1]):
                break
            found = found + last[1:]
        else:
            remembered.items = new
            return tuple(found), answer
    new = {}
    found, answer = await ask(-1, -1, new)
    remembered.items = new
    return tuple(found), answer
