"""Whether docs/audit-format.md is enough to write a verifier from: another one, written from it, agrees with ours on
what is whole, on what is not, and on the place."""

from __future__ import annotations

import ast
import json
import random
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.db import transaction

from drportal.audit import verify
from drportal.audit.record import exported, record_many
from drportal.audit.search import Filter
from drportal.audit.signing import public_key
from drportal.audit.verify import canonical
from tests.audit import second_verifier
from tests.audit.manipulations import (
    WAYS,
    Entry,
    chain,
    cut,
    edited,
    empty_database,
    facts,
    found_in,
    keep_export,
    repacked,
    write_lines,
    write_rows,
    written_anew,
)
from tests.audit.second_verifier import NotWhole

ROUNDS = 12  # × six ways × three times × two kinds of file


def place_said(sentence: str) -> int:
    """The number of the first entry that is wrong or missing, in a sentence of ours."""
    found = re.search(r"where entry (\d+) should|ends at entry (\d+)|(?:Entry|Entries|Line|entry) (\d+)", sentence)
    assert found, f"no place in “{sentence}”"
    return int(found[1] or found[2] or found[3])


def second_says(path: Path, anchors: dict[int, str], key: str | None = None) -> int | str | None:
    try:
        second_verifier.check(path, anchors, key)
    except NotWhole as error:
        return error.place
    return None


def first_difference(whole: list[Entry], lie: list[Entry]) -> int:
    return next(
        (number for number, (one, other) in enumerate(zip(whole, lie, strict=False), 1) if one != other),
        min(len(whole), len(lie)) + 1,
    )


def test_it_is_nobody_s_copy() -> None:
    assert verify.__file__ != second_verifier.__file__
    for module in (verify, second_verifier):
        tree = ast.parse(Path(module.__file__).read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        roots = {name.partition(".")[0] for name in names}
        assert "drportal" not in roots
        assert roots <= set(sys.stdlib_module_names) | ({"cryptography"} if module is second_verifier else set())


def test_both_agree_on_whole_trails_on_spoiled_ones_and_on_the_place(tmp_path: Path) -> None:
    """And the place is that of the first difference, or of the entry after it, which does not follow."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    lines, kept = tmp_path / "trail.jsonl", tmp_path / "drportal.sqlite3"
    empty_database(kept)
    for _ in range(ROUNDS):
        whole = chain(dice, dice.randint(3, 40))
        anchors = {whole[-1]["seq"]: whole[-1]["hash"]}
        write_lines(lines, whole)
        write_rows(kept, whole)
        for path in (lines, kept):
            assert second_says(path, anchors) is None, f"false alarm in {path.suffix}, seed {seed}"
        for way in WAYS * 3:
            lie = way(dice, whole)
            write_lines(lines, lie)
            write_rows(kept, lie)
            for path in (lines, kept):
                said, second = found_in(path, anchors), second_says(path, anchors)
                where = f"{way.__name__} in {path.suffix}, seed {seed}: “{said}”, {second}"
                assert said, where
                assert place_said(said) == second, where
                if way is not written_anew:  # a perfect chain of lies is wrong where the anchor is
                    first = first_difference(sorted(whole, key=by_number), sorted(lie, key=by_number))
                    assert first - 1 <= place_said(said) <= first + 1, where


def by_number(entry: Entry) -> int:
    return int(entry["seq"])


@pytest.fixture
def export(db: None, tmp_path: Path) -> Path:
    with transaction.atomic():
        record_many(facts(random.Random(3), 30))
    return keep_export(tmp_path / "trail.zip")


# --- each file of the signed zip


def spoiled(dice: random.Random, content: bytes) -> bytes:
    """A byte changed, taken out, put in, two exchanged, or the end cut off."""
    where = dice.randrange(len(content))
    other = dice.choice([spot for spot, byte in enumerate(content) if byte != content[where]])
    one, two = sorted((where, other))
    exchanged = content[:one] + content[two : two + 1] + content[one + 1 : two] + content[one : one + 1]
    return dice.choice(
        [
            content[:where] + bytes([content[where] ^ dice.randint(1, 255)]) + content[where + 1 :],
            content[:where] + content[where + 1 :],
            content[:where] + dice.randbytes(1) + content[where:],
            exchanged + content[two + 1 :],
            content[:where],
        ]
    )


FILES = ["trail.jsonl", "trail.csv", "verify.py", "audit-format.md", "manifest.json", "manifest.sig"]


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_done_to_a_file_of_the_zip_both_find_it_and_name_the_file(export: Path, name: str) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    assert found_in(export, {}, public_key()) is None
    assert second_says(export, {}, public_key()) is None
    for _ in range(60):

        def change(each: str, content: bytes) -> bytes:
            return spoiled(dice, content) if each == name else content

        changed = repacked(export, change)
        said, second = found_in(changed, {}, public_key()), second_says(changed, {}, public_key())
        assert said, f"seed {seed}"
        assert name in said, f"seed {seed}: {said}"
        assert second == ("manifest.json" if name == "manifest.sig" else name), f"seed {seed}"


def test_a_byte_of_the_zip_itself_changed_is_found_or_changes_nothing(export: Path, tmp_path: Path) -> None:
    """Some bytes of a zip say nothing of what is in it (dates, attributes): then what is in it is what was signed."""
    dice = random.Random(8)
    content, changed = export.read_bytes(), tmp_path / "changed.zip"
    with zipfile.ZipFile(export) as opened:
        inside = {name: opened.read(name) for name in opened.namelist()}
    for _ in range(150):
        where = dice.randrange(len(content))
        changed.write_bytes(content[:where] + bytes([content[where] ^ dice.randint(1, 255)]) + content[where + 1 :])
        if found_in(changed, {}, public_key()) is None:
            with zipfile.ZipFile(changed) as opened:
                assert {name: opened.read(name) for name in opened.namelist()} == inside, where
    for end in range(0, len(content), len(content) // 40):
        changed.write_bytes(content[:end])
        assert found_in(changed, {}, public_key()), f"cut at {end}"


def test_both_agree_on_chosen_entries_and_on_pieces(export: Path, tmp_path: Path) -> None:
    entries = list(exported(1, 30))
    for wanted in (Filter(site="site-a"), Filter(actor="nobody-there"), Filter(actor="olga")):
        path = keep_export(tmp_path / "chosen.zip", wanted)
        assert found_in(path, {30: entries[29]["hash"]}, public_key()) is None
        assert second_says(path, {30: entries[29]["hash"]}, public_key()) is None
    with transaction.atomic():
        later = record_many(facts(random.Random(4), 5))
    piece = keep_export(tmp_path / "piece.zip", Filter(since=later[0].at))
    for anchors, ok in (({}, True), ({1: entries[0]["hash"]}, True), ({later[1].seq: "0" * 64}, False)):
        assert (found_in(piece, anchors) is None) == (second_says(piece, anchors) is None) == ok


# --- what finds what: the table of the page


def signed_anew(export: Path, entries: list[Entry], private: str) -> Path:
    """An export of a lie, signed with some key: the portal's, or that of whoever lies."""
    key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private))
    lines = b"".join(canonical(entry) + b"\n" for entry in entries)
    with zipfile.ZipFile(export) as opened:
        manifest = json.loads(opened.read("manifest.json"))
    manifest |= {"entries": len(entries), "last_seq": len(entries), "key": key.public_key().public_bytes_raw().hex()}
    manifest["files"]["trail.jsonl"] = verify.hashlib.sha256(lines).hexdigest()
    text = canonical(manifest)
    new = {"trail.jsonl": lines, "manifest.json": text, "manifest.sig": key.sign(text).hex().encode()}
    return repacked(export, lambda name, content: new.get(name, content))


MEANS = ("chain", "anchor", "signature")
OURS, THEIRS = "with the portal's key", "with a key of their own"


def finders(export: Path, lie: list[Entry], signing: str | None) -> set[str]:
    """Which of the three finds it alone: the chain without anchors, an anchor without a chain, the signature without
    looking at an entry."""
    lines = export.with_name("lie.jsonl")
    write_lines(lines, lie)
    if signing is None:
        text = lines.read_bytes()
        path = repacked(export, lambda name, content: text if name == "trail.jsonl" else content)
    else:
        path = signed_anew(export, lie, settings.SIGNING_KEY if signing == OURS else "77" * 32)
    noted = {entry["seq"]: entry["hash"] for entry in list(exported(1, 30))[-1:]}
    found = {"chain"} if found_in(lines, {}) else set()
    if any({entry["seq"]: entry["hash"] for entry in lie}.get(seq) != digest for seq, digest in noted.items()):
        found.add("anchor")
    with zipfile.ZipFile(path) as opened:
        try:
            verify.check_files(opened, verify.signed_manifest(opened, public_key())["files"])
        except verify.Broken:
            found.add("signature")
    whole = found_in(path, noted, public_key())
    assert bool(whole) == bool(found), f"all three together must find what one finds: {whole}, {found}"
    assert (second_says(path, noted, public_key()) is not None) == bool(whole)
    return found


def middle(way: Callable[[random.Random, list[Entry]], list[Entry]]) -> Callable[[list[Entry]], list[Entry]]:
    return lambda entries: way(random.Random(9), entries)


def hashed(entry: Entry) -> Entry:
    return {**entry, "hash": verify.entry_hash(entry)}


LIES: dict[str, Callable[[list[Entry]], list[Entry]]] = {
    "an entry was edited": lambda es: [*es[:4], {**es[4], "actor": "mallory"}, *es[5:]],
    "an entry was edited and hashed anew": lambda es: [*es[:4], hashed({**es[4], "actor": "mallory"}), *es[5:]],
    "entries were removed from the middle": lambda es: [*es[:4], *es[6:]],
    "an entry was put in": lambda es: [*es[:5], es[4], *es[5:]],
    "two entries changed places": lambda es: [*es[:4], es[5], es[4], *es[6:]],
    "the tail was cut off": middle(cut),
    "everything from one entry on was written anew": middle(written_anew),
}


def found_words(found: set[str]) -> str:
    return " | ".join("found" if means in found else "—" for means in MEANS)


def test_the_page_s_table_says_which_of_the_three_finds_what(export: Path) -> None:
    whole = list(exported(1, 30))
    rows = []
    for name, lie in LIES.items():
        rows.append(f"| {name}, in a finished export | {found_words(finders(export, lie(whole), None))} |")
    for name, lie in LIES.items():
        before, theirs = finders(export, lie(whole), OURS), finders(export, lie(whole), THEIRS)
        assert theirs == before | {"signature"}
        rows.append(f"| {name}, before the portal exported it | {found_words(before)} |")
    page = (settings.BASE_DIR / "docs" / "audit-format.md").read_text()
    assert "\n".join(rows) in page, "\n".join(rows)


def test_the_verifier_that_is_shipped_is_the_one_that_finds_it(export: Path, tmp_path: Path) -> None:
    """The single file out of the zip, alone, without the portal and without site-packages."""
    with zipfile.ZipFile(export) as opened:
        opened.extract("verify.py", tmp_path / "shipped")
    shutil.copy(export, tmp_path / "whole.zip")
    noted = list(exported(1, 30))[-1]
    (tmp_path / "anchors.jsonl").write_text(json.dumps({"seq": noted["seq"], "hash": noted["hash"]}) + "\n")
    short = signed_anew(export, list(exported(1, 20)), settings.SIGNING_KEY)
    words = [sys.executable, "-I", "-S", str(tmp_path / "shipped" / "verify.py"), "--key", public_key()]
    words += ["--anchors", str(tmp_path / "anchors.jsonl")]
    for path, status, said in (
        (tmp_path / "whole.zip", 0, "All 30 entries are whole"),
        (short, 1, "The trail ends at entry 20, but entry 30 was noted. Its tail was cut off."),
    ):
        done = subprocess.run([*words, str(path)], capture_output=True, text=True)
        assert (done.returncode, said in done.stdout) == (status, True), done.stdout + done.stderr


def test_an_edit_that_was_hashed_anew_is_found_where_the_next_one_does_not_follow(tmp_path: Path) -> None:
    whole = chain(random.Random(1), 9)
    lie = next(made for made in (edited(random.Random(seed), whole) for seed in range(99)) if hashed_anew(whole, made))
    write_lines(tmp_path / "trail.jsonl", lie)
    where = first_difference(whole, lie)
    assert (
        place_said(found_in(tmp_path / "trail.jsonl", {}) or "")
        == where + 1
        == second_says(tmp_path / "trail.jsonl", {})
    )


def hashed_anew(whole: list[Entry], lie: list[Entry]) -> bool:
    where = first_difference(whole, lie)
    if where in (1, 9):
        return False
    one = lie[where - 1]
    return one["hash"] == verify.entry_hash(one) and one["previous_hash"] == whole[where - 1]["previous_hash"]
