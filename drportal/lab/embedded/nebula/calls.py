"""The table of XML-RPC methods: a name, the types of its parameters, and the function that answers.

A signature is one letter a parameter after the session: i int, b boolean, s string; what follows "|" may be left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from .errors import FAULT_NO_METHOD, FAULT_TYPE, NebulaFault
from .lifecycle import Lifecycle
from .state import State
from .users import User

Result = str | int
Answer = Callable[..., Result]

_TYPES: dict[str, tuple[type, str]] = {"i": (int, "integer"), "b": (bool, "boolean"), "s": (str, "string")}


@dataclass(frozen=True, slots=True)
class Caller:
    """What every answering function gets first: who asks, and what there is."""

    user: User
    state: State
    lifecycle: Lifecycle


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    needed: str
    optional: str
    answer: Answer

    def check(self, args: Sequence[object]) -> None:
        """Raises NebulaFault, in xmlrpc-c's words."""
        if len(args) < len(self.needed):
            raise NebulaFault(FAULT_TYPE, "Not enough parameters")
        if len(args) > len(self.needed + self.optional):
            raise NebulaFault(FAULT_TYPE, "Too many parameters")
        for letter, value in zip(self.needed + self.optional, args, strict=False):
            wanted, word = _TYPES[letter]
            if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
                raise NebulaFault(FAULT_TYPE, f"Parameter that is supposed to be {word} is not")


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


_Item = TypeVar("_Item", bound=_HasId)


def in_range(items: list[_Item], start: int, end: int) -> list[_Item]:
    """Newest first. (-1, -1) is everything; an `end` below -1 is a page of -end items from offset `start`."""
    newest_first = sorted(items, key=lambda item: -item.id)
    if end < -1:
        return newest_first[max(start, 0) : max(start, 0) - end]
    return [item for item in newest_first if item.id >= start and (end == -1 or item.id <= end)]


class MethodTable:
    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}

    def method(self, name: str, signature: str = "") -> Callable[[Answer], Answer]:
        needed, _, optional = signature.partition("|")

        def register(answer: Answer) -> Answer:
            self._methods[f"one.{name}"] = Method(f"one.{name}", needed, optional, answer)
            return answer

        return register

    def update(self, other: MethodTable) -> None:
        self._methods.update(other._methods)

    def find(self, name: str) -> Method:
        if name not in self._methods:
            raise NebulaFault(FAULT_NO_METHOD, f"Method '{name}' not defined")
        return self._methods[name]
