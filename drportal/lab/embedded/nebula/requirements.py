"""SCHED_REQUIREMENTS and SCHED_DS_REQUIREMENTS: the small boolean language of placement.

`ID = 3 | (NAME = "kvm-a*" & !(CLUSTER_ID = 1))`, `FREE_CPU > 100`, `"CLUSTERS/ID" @> 0`. OpenNebula: "Scheduling".
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping

_TOKEN = re.compile(r'\s*(?:(?P<op>@>|!=|[=<>!&|()])|"(?P<quoted>[^"]*)"|(?P<bare>[^\s=<>!&|()"]+))')


def satisfies(expression: str, attributes: Mapping[str, str]) -> bool:
    """An empty expression is met. One that cannot be read is met by nothing, as with the real scheduler."""
    if not expression.strip():
        return True
    try:
        parser = _Parser(expression, attributes)
        return parser.either() and parser.finished
    except (IndexError, ValueError):
        return False


class _Parser:
    def __init__(self, expression: str, attributes: Mapping[str, str]) -> None:
        self._tokens: list[tuple[str, str]] = []
        self._attributes = attributes
        position, text = 0, expression.strip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ValueError(expression)
            kind = match.lastgroup or ""
            self._tokens.append((kind, match.group(kind)))
            position = match.end()

    @property
    def finished(self) -> bool:
        return not self._tokens

    def _accept(self, operator: str) -> bool:
        if self._tokens and self._tokens[0] == ("op", operator):
            self._tokens.pop(0)
            return True
        return False

    def either(self) -> bool:
        met = self._both()
        while self._accept("|"):
            other = self._both()
            met = met or other
        return met

    def _both(self) -> bool:
        met = self._one()
        while self._accept("&"):
            other = self._one()
            met = met and other
        return met

    def _one(self) -> bool:
        if self._accept("!"):
            return not self._one()
        if self._accept("("):
            met = self.either()
            if not self._accept(")"):
                raise ValueError("parenthesis")
            return met
        _, name = self._tokens.pop(0)
        operator_kind, operator = self._tokens.pop(0)
        _, wanted = self._tokens.pop(0)
        if operator_kind != "op":
            raise ValueError(operator)
        return _compare(self._attributes.get(name, ""), operator, wanted)


def _compare(actual: str, operator: str, wanted: str) -> bool:
    if operator == "=":
        return fnmatch.fnmatchcase(actual, wanted)
    if operator == "!=":
        return not fnmatch.fnmatchcase(actual, wanted)
    if operator == "@>":
        return wanted in actual.split()
    if operator == "<":
        return float(actual) < float(wanted)
    if operator == ">":
        return float(actual) > float(wanted)
    raise ValueError(operator)
