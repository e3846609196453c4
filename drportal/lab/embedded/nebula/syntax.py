"""OpenNebula templates: the multimap, its two notations, and its XML.

A template is accepted as XML (`<TEMPLATE><CPU>1</CPU><DISK>...</DISK></TEMPLATE>`, whatever the root is called) and in
OpenNebula's own notation (`CPU = 1`, `DISK = [ IMAGE_ID = 3, TARGET = "vda" ]`, `#` comments). Names are upper-cased
and, on the way out, sorted; repeated names keep their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape

Vector = dict[str, str]
Value = str | Vector


class TemplateSyntaxError(ValueError):
    """The text is in neither of the two notations."""


class Template:
    """Attribute names to one or more values; a value is a string or a vector of strings."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, Value]] = ()) -> None:
        self._values: dict[str, list[Value]] = {}
        for name, value in pairs:
            self.add(name, value)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def items(self) -> Iterator[tuple[str, Value]]:
        for name, values in self._values.items():
            for value in values:
                yield name, value

    def add(self, name: str, value: Value) -> None:
        self._values.setdefault(name.upper(), []).append(value)

    def put(self, name: str, *values: Value) -> None:
        """Replace every value of `name`; none given removes it."""
        if values:
            self._values[name] = list(values)
        else:
            self._values.pop(name, None)

    def pop(self, name: str) -> list[Value]:
        return self._values.pop(name, [])

    def text(self, name: str, default: str = "") -> str:
        """The first plain value of `name`."""
        for value in self._values.get(name, ()):
            if isinstance(value, str):
                return value
        return default

    def vectors(self, name: str) -> list[Vector]:
        return [value for value in self._values.get(name, ()) if isinstance(value, dict)]

    def copy(self) -> Template:
        return Template((name, dict(value) if isinstance(value, dict) else value) for name, value in self.items())

    def merge(self, other: Template) -> None:
        """Names in `other` replace the same names here, as one.<object>.update does in append mode."""
        for name, values in other._values.items():
            self._values[name] = list(values)

    def xml(self, tag: str) -> str:
        parts = [f"<{tag}>"]
        for name in sorted(self._values):
            for value in self._values[name]:
                if isinstance(value, str):
                    parts.append(f"<{name}>{cdata(value)}</{name}>")
                else:
                    inner = "".join(f"<{key}>{cdata(value[key])}</{key}>" for key in sorted(value))
                    parts.append(f"<{name}>{inner}</{name}>")
        parts.append(f"</{tag}>")
        return "".join(parts)


def cdata(text: str) -> str:
    return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"


def plain(text: str) -> str:
    """For the elements that the server does not put into CDATA (names)."""
    return escape(text)


def parse_template(text: str) -> Template:
    """Either notation. Raises TemplateSyntaxError."""
    return _parse_xml(text) if text.lstrip().startswith("<") else _parse_text(text)


def _parse_xml(text: str) -> Template:
    try:
        root = ElementTree.fromstring(text.strip())  # noqa: S314 - from the lab's own client
    except ElementTree.ParseError as error:
        raise TemplateSyntaxError(f"Error parsing template XML: {error}") from error
    template = Template()
    for child in root:
        if len(child):
            template.add(child.tag, {leaf.tag.upper(): (leaf.text or "").strip() for leaf in child})
        else:
            template.add(child.tag, (child.text or "").strip())
    return template


_NAME = re.compile(r"\s*([A-Za-z0-9_][\w.-]*)\s*=[ \t]*", re.ASCII)
_SKIP = re.compile(r"(?:\s+|#[^\n]*)*")
_BARE = re.compile(r"[^\n#]*")
_BARE_IN_VECTOR = re.compile(r"[^,\]\n]*")


def _parse_text(text: str) -> Template:
    template = Template()
    position = _skip(text, 0)
    while position < len(text):
        name, position = _name(text, position)
        if text[position : position + 1] == "[":
            vector, position = _vector(text, position + 1)
            template.add(name, vector)
        else:
            value, position = _value(text, position, _BARE)
            template.add(name, value)
        position = _skip(text, position)
    return template


def _skip(text: str, position: int) -> int:
    match = _SKIP.match(text, position)
    return match.end() if match else position


def _name(text: str, position: int) -> tuple[str, int]:
    match = _NAME.match(text, position)
    if match is None:
        line = text.count("\n", 0, position) + 1
        raise TemplateSyntaxError(f"Parse error: syntax error, unexpected input, expecting VARIABLE, line {line}")
    return match.group(1), match.end()


def _value(text: str, position: int, bare: re.Pattern[str]) -> tuple[str, int]:
    if text[position : position + 1] == '"':
        return _quoted(text, position + 1)
    match = bare.match(text, position)
    return (match.group().strip(), match.end()) if match else ("", position)


def _quoted(text: str, position: int) -> tuple[str, int]:
    chars: list[str] = []
    while position < len(text):
        char = text[position]
        if char == '"':
            return "".join(chars), position + 1
        if char == "\\" and text[position + 1 : position + 2] == '"':  # there is no other escape
            position += 1
            char = text[position]
        chars.append(char)
        position += 1
    raise TemplateSyntaxError("Parse error: syntax error, unexpected end of file in a quoted string")


def _vector(text: str, position: int) -> tuple[Vector, int]:
    vector: Vector = {}
    position = _skip(text, position)
    while text[position : position + 1] != "]":
        name, position = _name(text, position)
        vector[name.upper()], position = _value(text, position, _BARE_IN_VECTOR)
        position = _skip(text, position)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise TemplateSyntaxError("Parse error: syntax error, expecting COMMA or CBRACKET")
    return vector, position + 1
