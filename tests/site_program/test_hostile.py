"""Whoever has the key, and nothing else: lines that must not run anything."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest

from drportal.site_program.wire import LINE_BYTES
from tests.site_program.conftest import FakeCeph, order
from tests.site_program.running import SiteProcess
from tests.site_program.worlds import IMAGE_VERBS

ASK = {"v": 1, "id": "1", "verb": "observe-image", "pool": "one", "image": "disk", "parts": ["info"]}
BAD_NAMES = [
    *(
        "",
        ".",
        "..",
        "-",
        "--force",
        "-c",
        "a b",
        "a;reboot",
        "$(reboot)",
        "`reboot`",
        "a|b",
        "a&b",
        "a>b",
        "a\nb",
        "a\n",
    ),
    *(
        "a\0b",
        "a/b",
        "/etc/passwd",
        "../../x",
        "a@snap",
        "one/other",
        "a:b",
        "a'b",
        'a"b',
        "a\\b",
        "a\tb",
        "é",
        "\u202e",
        "%s",
    ),
    *("x" * 97, "x" * 100_000, "a\r\n", "{}", "~", "*", "?", "[a]", "!x", "#x"),
]
ALLOWED_IN_OPS = string.ascii_letters + string.digits + "_.:-"
# Neither too short nor too long: what is wrong with each of these is one character, or the first one.
BAD_OPS = [
    *(f"operation{name}1" for name in BAD_NAMES if len(name) < 20 and not set(name) <= set(ALLOWED_IN_OPS)),
    *(
        "-operation",
        "--force-1",
        "..operation",
        ".operation",
        ":operation",
        "_operation",
        "op/../../1",
        "operation-1\n",
    ),
    *("é-operation", "operation-é", "operation-\u0661", "opera tion-1", "\u202eoperation-1", "operation-1\0"),
]
BAD_VERBS = [
    *("remove", "rm", "trash-purge", "snap-rm", "disable", "flatten", "exec", "shell", "eval", "__class__", "Promote"),
    *("promote --force", "force_promote", "", " promote", "promote ", "pool-demote", "acknowledge\n", "hello;id"),
]
BAD_VALUES = [None, 0, 1, -1, 1.5, True, [], {}, "1" * 5000, [[]], {"a": 1}, "promote"]


def lines() -> list[bytes]:
    """More than 200 requests that a site must refuse, each for a reason of its own."""
    act = {"v": 1, "id": "1", "verb": "demote", **order("demote", "disk", "operation-1", primary=True)}
    made: list[object] = [{**ASK, field: name} for field in ("pool", "image") for name in BAD_NAMES]
    made += [{**act, field: name} for field in ("group", "image") for name in BAD_NAMES]
    made += [{**act, "op": op} for op in BAD_OPS]
    made += [{**ASK, "verb": verb} for verb in BAD_VERBS]
    made += [
        {**act, field: value} for field in ("fence", "expect", "op") for value in BAD_VALUES if not good(field, value)
    ]
    made += [{**ASK, "parts": value} for value in BAD_VALUES] + [{**ASK, "parts": ["info", "rm"]}]
    made += [{**ASK, "argv": ["rbd", "rm", "one/disk"]}, {**act, "force": True}, {**act, "command": "reboot"}]
    made += [{**act, "expect": {**act["expect"], "primary": False}}, {**act, "expect": {**act["expect"], "more": 1}}]
    made += [
        {**act, "verb": "promote"},
        {**act, "shown": "a\nb"},
        {**act, "shown": "\x1b[2J"},
        {**act, "wait_s": 10**9},
    ]
    look = {"v": 1, "id": "1", "verb": "reach"}
    made += [
        {**look, "targets": [{"host": host, "port": 22}]}
        for host in ("", "-oProxyCommand=x", "a b", "a;id", "a\n", "$(id)", "x" * 256, None, 7)
    ]
    made += [{**look, "targets": [{"host": "a", "port": port}]} for port in (0, -1, 65536, "22", True, None)]
    made += [{**look, "targets": []}, {**look, "targets": [{"host": "a", "port": 22}] * 9}]
    made += [{**act, "v": version} for version in (0, 2, "1", None, True, 1.0)]
    raw = [json.dumps(one).encode() for one in made]
    raw += [b"rbd rm one/disk", b"\x00\x01\x02\xff\xfe", b"[]", b"null", b"1e999", b'"promote"', b"NaN", b"[" * 100_000]
    raw += [b'{"v":1,"v":1,"id":"1","verb":"hello"}', b'{"v":1,"id":"1","verb":"hello","x":Infinity}', b"\xff" * 5000]
    raw += [bytes(random.Random(seed).randbytes(300)).replace(b"\n", b"") for seed in range(20)]
    return raw


def test_a_bad_operation_id_is_refused_for_its_characters(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    assert len(BAD_OPS) > 30
    for op in BAD_OPS:
        assert 8 <= len(op) <= 80, op
        error = program.refused("demote", **order("demote", "disk", op, primary=True))
        assert error["code"] == "bad-request" and error["text"].startswith("op must be"), (op, error)
        assert program.refused("receipt", op=op, bar=True)["code"] == "bad-request"
        assert program.refused("acknowledge", receipts=[[op, 1]])["code"] == "bad-request"
    assert not ceph.calls()
    good_one = "Operation_1.a:b-2"
    assert program.ask("demote", **order("demote", "disk", good_one, primary=True))["receipt"]["state"] == "done"


def good(field: str, value: object) -> bool:
    return field == "fence" and isinstance(value, int) and not isinstance(value, bool) and value >= 0


def test_two_hundred_hostile_requests_run_nothing_and_are_logged(
    tmp_path: Path, ceph: FakeCeph, program: SiteProcess
) -> None:
    ceph.image("disk", primary=True)
    hostile = lines()
    assert len(hostile) > 200
    before = program.lines
    for line in hostile:
        program.write(line + b"\n")
    assert program.ask("hello")["ok"], "it still answers"
    assert program.lines - before == len(hostile) + 1, "one answer each"
    assert ceph.calls(acts_only=False) == [["rbd", "--version"]], "nothing was started for any of them"
    logged = refused(tmp_path)
    assert [line["line"].encode("utf-8")[:20] for line in logged] == [shown(line)[:20] for line in hostile]
    assert {line["code"] for line in logged} == {"bad-request", "unknown-verb", "version"}, "not by a fault of its own"
    assert not list((tmp_path / "state" / "ops").iterdir())


def shown(line: bytes) -> bytes:
    """As it stands in the log."""
    return line[:400].decode("utf-8", "backslashreplace").encode()


def test_a_line_of_ten_megabytes_is_skipped_whole(tmp_path: Path, ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    inner = json.dumps({"v": 1, "id": "9", "verb": "demote", **order("demote", "disk", "operation-1", primary=True)})
    program.write(b"x" * (10 << 20) + inner.encode() + b"\n")
    assert program.answer(None)["error"]["code"] == "line-too-long"
    assert program.ask("hello")["ok"]
    assert not ceph.calls()
    (logged,) = refused(tmp_path)
    assert (logged["code"], logged["line"]) == ("line-too-long", "x" * 400)


def test_a_line_that_is_just_too_long_is_logged_as_it_began(tmp_path: Path, program: SiteProcess) -> None:
    program.write(b'{"first": 1}' + b" " * LINE_BYTES + b"\n")
    assert program.answer(None)["error"]["code"] == "line-too-long"
    program.write(b'{"second": 1}' + b" " * LINE_BYTES + b"\n")
    assert program.answer(None)["error"]["code"] == "line-too-long"
    assert [line["line"].strip() for line in refused(tmp_path)] == ['{"first": 1}', '{"second": 1}']


def test_which_refusals_are_logged(tmp_path: Path, ceph: FakeCeph, program: SiteProcess) -> None:
    """Of requests that read, those that are not a request at all; of acts each."""
    ceph.image("disk", primary=True)
    program.refused("observe-image", pool="one", image="gone", parts=["rm"])
    program.refused("receipt", op="operation-0")  # an answer, if not a welcome one
    program.refused("demote", **order("demote", "gone", "operation-1", primary=True))
    program.refused("demote", **{**order("demote", "disk", "operation-2", primary=True), "fence": 1.5})
    program.refused("promote", **order("promote", "disk", "operation-3", primary=False))
    assert [line["code"] for line in refused(tmp_path)] == ["bad-request", "not-found", "bad-request", "precondition"]


def refused(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "state" / "refused.log").read_text().splitlines()]


def test_a_key_that_may_observe_acts_on_nothing(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=True)
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env, rights="read") as program:
        acts = set(SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env).hello["verbs"]) - set(program.hello["verbs"])
        assert len(acts) == 11
        for verb in (verb for verb in IMAGE_VERBS if verb != "free"):
            primary = verb in ("demote", "mirror-snapshot")
            assert program.refused(verb, **order(verb, "disk", "operation-1", primary=primary))["code"] == "not-allowed"
        about = {
            "op": "operation-1",
            "group": "g",
            "fence": 1,
            "shown": "",
            "pool": "one",
            "addresses": ["10.0.0.1:0/0"],
        }
        assert program.refused("fence", expire_s=60, **about)["code"] == "not-allowed"
        assert program.refused("unfence", **about)["code"] == "not-allowed"
        assert program.refused("acknowledge", receipts=[["operation-1", 1]])["code"] == "not-allowed"
        assert program.refused("receipt", op="operation-1", bar=True)["code"] == "not-allowed"
        assert program.refused("receipt", op="operation-1")["code"] == "no-receipt"
    assert [(line["code"], line["rights"]) for line in refused(tmp_path)] == [("not-allowed", "read")] * 11
    assert not ceph.calls()


def test_a_key_of_a_witness_looks_at_addresses_and_does_nothing_else(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=True)
    with SiteProcess(tmp_path, "--engine", "rbd", env=ceph.env, rights="look") as witness:
        assert witness.hello["verbs"] == ["hello", "reach"]
        for verb, fields in {
            "observe-pool": {"pool": "one", "parts": ["info"]},
            "observe-image": {"pool": "one", "image": "disk", "parts": ["info"]},
            "receipts": {"since": 0, "limit": 10},
            "refusals": {"since": 0},
            "demote": order("demote", "disk", "operation-1", primary=True),
        }.items():
            assert witness.refused(verb, **fields)["code"] == "not-allowed", verb
        (seen,) = witness.ask("reach", targets=[{"host": "127.0.0.1", "port": 1}])["reached"]
        assert seen["answer"] == "refuses"
    assert not ceph.calls(acts_only=False), "Ceph was not even looked for"


def test_another_pool_is_out_of_reach(tmp_path: Path, ceph: FakeCeph) -> None:
    ceph.image("disk", primary=True)
    with SiteProcess(tmp_path, "--engine", "rbd", "--pool", "two", "--pool", "three", env=ceph.env) as program:
        assert program.refused("observe-pool", pool="one", parts=["info"])["code"] == "not-allowed"
        assert (
            program.refused("demote", **order("demote", "disk", "operation-1", primary=True))["code"] == "not-allowed"
        )
    assert [line["code"] for line in refused(tmp_path)] == ["not-allowed"] * 2
    assert ceph.calls(acts_only=False) == [["rbd", "--version"]]


@pytest.mark.parametrize(
    "changes",
    [
        {"image": "other"},
        {"pool": "two"},
        {"expect": {"image_id": "id-disk", "global_id": "g-other", "primary": True, "watchers": "mirroring"}},
        {"expect": {"image_id": "id-disk", "global_id": "g-disk", "primary": True, "watchers": "any"}},
        {"group": "group-2"},
    ],
)
def test_a_known_operation_with_another_content_is_refused(
    tmp_path: Path, ceph: FakeCeph, program: SiteProcess, changes: dict[str, object]
) -> None:
    ceph.image("disk", primary=True)
    ceph.image("other", primary=True)
    fields = order("demote", "disk", "operation-1", primary=True)
    assert program.ask("demote", **fields)["receipt"]["state"] == "done"
    assert program.refused("demote", **{**fields, **changes})["code"] == "conflict"
    assert [(line["code"], line["op"]) for line in refused(tmp_path)] == [("conflict", "operation-1")]
    assert len(ceph.calls()) == 1


def test_what_is_shown_to_people_is_never_carried_out(ceph: FakeCeph, program: SiteProcess) -> None:
    ceph.image("disk", primary=True)
    fields = order("demote", "disk", "operation-1", primary=True)
    program.ask("demote", **{**fields, "shown": "rbd rm one/disk; reboot"})
    assert ceph.calls() == [["rbd", "mirror", "image", "demote", "one/disk"]]
