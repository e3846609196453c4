"""The site program's lines: what a request may hold, and how a refusal looks. Knows nothing of Ceph."""

import hashlib
import ipaddress
import json
import re
from typing import Any, Callable, Dict, List, Optional, Tuple

Json = Dict[str, Any]

PROTOCOL = 1
PROGRAM_VERSION = "1.7"
LINE_BYTES = 1 << 20
QUEUE = 4096
MOST_AT_ONCE = 64

_NAME = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.][A-Za-z0-9_.-]{0,95}")  # it may become a file's name
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HOST = re.compile(r"[A-Za-z0-9:][A-Za-z0-9.:_-]{0,254}")
_OP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{7,79}")
_HASH = re.compile(r"[0-9a-f]{64}")
_IDENTITY = re.compile(r"[A-Za-z0-9-]{1,64}")
_CLIENT = re.compile(r"[0-9]{1,20}")

IMAGE_PARTS = ("info", "journal", "snapshots", "watchers", "status")
POOL_PARTS = ("pool", "listing", "mirror-clients")


class Fault(Exception):
    """A refusal: ``code`` is one of the protocol's, ``text`` a sentence, ``facts`` what it rests on."""

    def __init__(self, code: str, text: str, **facts: Any) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.facts = facts

    def as_json(self) -> Json:
        return {"code": self.code, "text": self.text, "facts": self.facts}


def bad(text: str) -> Fault:
    return Fault("bad-request", text + " Nothing was done.")


# ---- what a field may be


def _matching(pattern: "re.Pattern[str]", what: str) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        # fullmatch, not match: `$` would let a newline at the end pass
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise bad("%s must be %s." % (name, what))
        return value

    return check


_name = _matching(_NAME, "a name of letters, digits, '.', '_' and '-', at most 96 long and with no '-' in front")
_op = _matching(_OP, "8 to 80 letters, digits, '_', '.', ':' or '-', beginning with a letter or digit")
_hash = _matching(_HASH, "64 hexadecimal digits")
_identity = _matching(_IDENTITY, "an id as Ceph makes them")


def _whole(low: int, high: int) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise bad("%s must be a whole number from %d to %d." % (name, low, high))
        return value

    return check


def _true_or_false(name: str, value: Any) -> Any:
    if not isinstance(value, bool):
        raise bad("%s must be true or false." % name)
    return value


MOST_SHOWN = 16000  # a hundred clients, each with the longest address there is, shut out in one line


def _shown(name: str, value: Any) -> Any:
    if not isinstance(value, str) or len(value) > MOST_SHOWN or not value.isprintable():
        raise bad("%s must be one line of at most %d printable characters." % (name, MOST_SHOWN))
    return value


def _listed(check_one: Callable[[str, Any], Any], least: int, most: int) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise bad("%s must be a list of %d to %d." % (name, least, most))
        return [check_one("each of " + name, one) for one in value]

    return check


def _one_of(words: Tuple[str, ...]) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, str) or value not in words:
            raise bad("%s must be one of %s." % (name, ", ".join(words)))
        return value

    return check


def _address(name: str, value: Any) -> Any:
    """``IP:PORT/NONCE`` as Ceph prints it, an IPv6 address in brackets."""
    found = re.fullmatch(r"(?:\[([0-9a-f:.]{2,45})\]|([0-9.]{7,15})):([0-9]{1,5})/([0-9]{1,10})", str(value))
    try:
        if not isinstance(value, str) or found is None:
            raise ValueError
        ipaddress.ip_address(found.group(1) or found.group(2))
    except ValueError:
        raise bad("%s must be IP:PORT/NONCE, or IP:0/0 for a whole host." % name)
    return value


def _pair(name: str, value: Any) -> Any:
    if not isinstance(value, list) or len(value) != 2:
        raise bad("%s must be [op, change]." % name)
    return [_op(name, value[0]), _whole(0, 1 << 53)(name, value[1])]


def _watchers(name: str, value: Any) -> Any:
    if value in ("mirroring", "any"):
        return value
    return _listed(_matching(_CLIENT, "a client number"), 0, 100)(name, value)


Fields = Dict[str, Tuple[bool, Callable[[str, Any], Any]]]  # name -> (must be there, check)


def _object(fields: Fields) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if not isinstance(value, dict):
            raise bad("%s must be an object." % name)
        for field in value:
            if field not in fields:
                raise bad("%s has no field %.40r." % (name, field))
        for field, (needed, check_one) in fields.items():
            if field in value:
                check_one(field, value[field])
            elif needed:
                raise bad("%s lacks %s." % (name, field))
        return value

    return check


def _number_or_null(name: str, value: Any) -> Any:
    return None if value is None else _whole(0, (1 << 64) - 1)(name, value)


_SNAPSHOT: Fields = {
    "snap_id": (True, _whole(0, (1 << 64) - 1)),
    "state": (True, _one_of(("primary", "demoted", "non-primary"))),
    "complete": (True, _true_or_false),
    "primary_snap_id": (False, _number_or_null),
}
_COMMON: Fields = {
    "v": (True, _whole(0, 1 << 31)),
    "id": (True, _matching(_REQUEST_ID, "1 to 64 letters, digits, '_', '.', ':' or '-'")),
    "verb": (True, _matching(re.compile(r"[a-z-]{1,40}"), "a word")),
}
_ACT: Fields = {
    "op": (True, _op),
    "group": (True, _name),
    "fence": (True, _whole(0, 1 << 53)),
    "shown": (True, _shown),
    "wait_s": (False, _whole(0, 120)),
    "at_once": (False, _whole(1, MOST_AT_ONCE)),
    "pool": (True, _name),
}


def _image_act(expect: Optional[Fields] = None, **more: Tuple[bool, Callable[[str, Any], Any]]) -> Fields:
    expected: Fields = {
        "image_id": (True, _identity),
        "global_id": (True, _identity),
        "primary": (True, _true_or_false),
    }
    expected.update(expect or {})
    fields = dict(_ACT, image=(True, _name), expect=(True, _object(expected)))
    fields.update(more)
    return fields


_NEWEST = {"newest_snapshot": (False, _object(_SNAPSHOT))}
_CLIENTS = {"addresses": (True, _listed(_address, 1, 100))}
_PARTS = {"pool": (True, _name)}
_TARGET: Fields = {"host": (True, _matching(_HOST, "a host")), "port": (True, _whole(1, 65535))}

VERBS: Dict[str, Fields] = {
    "hello": {},
    "observe-pool": dict(
        _PARTS,
        parts=(True, _listed(_one_of(POOL_PARTS + IMAGE_PARTS), 1, 8)),
        images=(False, _listed(_name, 0, 20000)),
        news=(False, _whole(0, 1 << 53)),
    ),
    "observe-image": dict(_PARTS, parts=(True, _listed(_one_of(IMAGE_PARTS), 1, 5)), image=(True, _name)),
    "schedules": dict(_PARTS),
    "measure": dict(_PARTS, image=(True, _name), snap_id=(False, _whole(0, (1 << 64) - 1))),
    "reach": {"targets": (True, _listed(_object(_TARGET), 1, 8))},
    "receipt": {"op": (True, _op), "wait_s": (False, _whole(0, 120)), "bar": (False, _true_or_false)},
    "receipts": {"since": (True, _whole(0, 1 << 53)), "limit": (True, _whole(1, 1000))},
    "refusals": {"since": (True, _whole(0, 1 << 53))},
    "demote": _image_act({"watchers": (True, _watchers)}),
    "promote": _image_act(_NEWEST),
    "force-promote": _image_act(_NEWEST, approval=(True, _hash)),
    "resync": _image_act({"watchers": (True, _watchers)}),
    "mirror-snapshot": _image_act(),
    "salvage-export": _image_act(),
    "salvage-copy": _image_act(),
    "free": dict(_image_act(), expire_s=(True, _whole(60, 604800)), **_CLIENTS),
    "fence": dict(_ACT, expire_s=(True, _whole(60, 604800)), **_CLIENTS),
    "unfence": dict(_ACT, **_CLIENTS),
    "acknowledge": {"receipts": (True, _listed(_pair, 1, 1000))},
}
# The role that each act on an image starts from; None: either.
STARTS_FROM: Dict[str, Optional[bool]] = {
    "demote": True,
    "promote": False,
    "force-promote": False,
    "resync": False,
    "mirror-snapshot": True,
    "salvage-export": None,
    "salvage-copy": None,
    "free": None,
}
ACTS = tuple(STARTS_FROM) + ("fence", "unfence")
READ_VERBS = (
    "hello", "observe-pool", "observe-image", "schedules", "measure", "reach", "receipt", "receipts", "refusals",
)  # fmt: skip
LOOK_VERBS = ("hello", "reach")


def _no_twins(pairs: List[Tuple[str, Any]]) -> Json:
    """A name that stands twice in an object means one thing to one reader and another to the next: refused."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise bad("A field stands twice.")
    return found


def _no_constant(word: str) -> Any:
    raise bad("%s is not JSON." % word)


def parsed_line(line: bytes) -> Json:
    """The object of a line, whatever it holds. Raises Fault."""
    try:
        request = json.loads(line.decode("utf-8"), object_pairs_hook=_no_twins, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise bad("The line is not JSON in UTF-8.")
    if not isinstance(request, dict):
        raise bad("A request is a JSON object.")
    return request


def request_id(request: Json) -> Optional[str]:
    """The id to answer under, if it has a usable one."""
    found = request.get("id")
    return found if isinstance(found, str) and _REQUEST_ID.fullmatch(found) else None


def request_op(request: Json) -> str:
    """The operation that it names; empty where it names none that could be one."""
    found = request.get("op")
    return found if isinstance(found, str) and _OP.fullmatch(found) else ""


def check_request(request: Json) -> str:
    """The verb of a request in which every field is what it must be. Raises Fault."""
    if request.get("v") != PROTOCOL or isinstance(request.get("v"), bool):
        raise Fault("version", "This program speaks version %d of the protocol. Nothing was done." % PROTOCOL)
    verb = request.get("verb")
    if not isinstance(verb, str) or verb not in VERBS:
        raise Fault("unknown-verb", "There is no verb %.40r. Nothing was done." % (verb,))
    _object(dict(_COMMON, **VERBS[verb]))("The request", request)
    if "news" in request and "images" in request:
        raise bad("News is told of all images of a pool, not of some.")
    expected = STARTS_FROM.get(verb)
    if expected is not None and request["expect"]["primary"] is not expected:
        raise bad("A %s starts from primary: %s." % (verb, json.dumps(expected)))
    return verb


_NOT_CONTENT = ("v", "id", "fence", "shown", "wait_s", "at_once")


def content_hash(request: Json) -> str:
    """What makes two requests the same act."""
    content = {name: value for name, value in request.items() if name not in _NOT_CONTENT}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
