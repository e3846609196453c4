"""A thousand random manipulations of what is kept, each found; and none found where there is none (I7).

Every one is done to an export's lines *and* to a SQLite database file, as somebody would who may do anything there but
change the anchors, which lie elsewhere.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import count as numbers
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, transaction

from drportal.audit import verify
from drportal.audit.record import Fact, exported, record_many
from drportal.audit.search import Filter
from drportal.audit.signing import public_key, sign
from drportal.audit.verify import Broken, anchors_of_file, canonical, verify_file
from tests.audit.manipulations import (
    WAYS,
    Entry,
    chain,
    empty_database,
    facts,
    found_in,
    keep_export,
    repacked,
    write_lines,
    write_rows,
)

MANIPULATIONS = 1000
ENTRIES = 40


@pytest.fixture(scope="module")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table as the database has it, without the constraints and triggers that its owner can drop."""
    path = tmp_path_factory.mktemp("tampered") / "drportal.sqlite3"
    empty_database(path)
    return path


def test_a_thousand_manipulations_are_all_found_and_no_clean_trail_is_accused(tmp_path: Path, empty_file: Path) -> None:
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    lines, kept, missed, done = tmp_path / "trail.jsonl", tmp_path / "drportal.sqlite3", [], 0
    shutil.copy(empty_file, kept)
    while done < MANIPULATIONS:
        whole = chain(dice, dice.randint(3, ENTRIES))
        anchors = {whole[-1]["seq"]: whole[-1]["hash"]}
        write_lines(lines, whole)
        write_rows(kept, whole)
        assert found_in(lines, anchors) is None, f"false alarm, seed {seed}"
        assert found_in(kept, anchors) is None, f"false alarm, seed {seed}"
        for way in WAYS * 3:
            lie = way(dice, whole)
            assert lie != whole, f"{way.__name__} did nothing, seed {seed}"
            write_lines(lines, lie)
            write_rows(kept, lie)
            missed += [f"{way.__name__} in {path.suffix}" for path in (lines, kept) if not found_in(path, anchors)]
            done += 1
    assert not missed, f"seed {seed}: {missed}"


def test_any_byte_of_the_lines_changed_is_found(tmp_path: Path) -> None:
    dice = random.Random(6)
    path = tmp_path / "trail.jsonl"
    write_lines(path, chain(dice, 5))
    whole = path.read_bytes()
    anchors = {5: json.loads(whole.splitlines()[-1])["hash"]}
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ dice.randint(1, 255)]) + whole[position + 1 :])
        assert found_in(path, anchors), f"byte {position}"
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        assert found_in(path, anchors), f"cut at {end}"


@pytest.mark.parametrize(
    ("way", "says"),
    [
        (lambda es: [*es[:2], {**es[2], "actor": "mallory"}, *es[3:]], "Entry 3 was changed"),
        (lambda es: [*es[:2], *es[4:]], "Entries 3 to 4 are missing"),
        (lambda es: [*es[:3], es[1], *es[3:]], "Entry 2 stands where entry 4 should be"),
        (lambda es: es[:3], "The trail ends at entry 3, but entry 6 was noted"),
        (lambda es: [es[0], es[2], es[1], *es[3:]], "Entry 2 is missing: the next one has number 3"),
        (lambda es: [{**es[0], "hidden": 1}, *es[1:]], "fields that no hash covers: hidden"),
    ],
    ids=["edit", "delete", "insert", "cut", "reorder", "hide"],
)
def test_it_says_where(way: Callable[[list[Entry]], list[Entry]], says: str, tmp_path: Path) -> None:
    whole = chain(random.Random(1), 6)
    path = tmp_path / "trail.jsonl"
    write_lines(path, way(whole))
    assert says in (found_in(path, {6: whole[-1]["hash"]}) or "")


HUGE = "9" * 5000  # more digits than Python reads as a number
SPOILED = [
    "UPDATE audit_auditentry SET payload = '{\"a\": NaN}' WHERE seq = 3",
    "UPDATE audit_auditentry SET payload = '{\"a\": 1e999}' WHERE seq = 3",
    "UPDATE audit_auditentry SET payload = '[1]' WHERE seq = 3",
    'UPDATE audit_auditentry SET payload = \'{"a": "\\ud800"}\' WHERE seq = 3',
    f"UPDATE audit_auditentry SET payload = '{{\"a\": {HUGE}}}' WHERE seq = 3",
    f"UPDATE audit_auditentry SET payload = '{'[' * 100_000}' WHERE seq = 3",
    "UPDATE audit_auditentry SET payload = X'ff00' WHERE seq = 3",
    *(f"UPDATE audit_auditentry SET {name} = X'ff00' WHERE seq = 3" for name in verify.COLUMNS if name != "payload"),
    *(f"UPDATE audit_auditentry SET {name} = NULL WHERE seq = 3" for name in verify.COLUMNS if name != "seq"),
    *(f"UPDATE audit_auditentry SET {name} = 9e999 WHERE seq = 3" for name in verify.COLUMNS),
    *(f"UPDATE audit_auditentry SET {name} = CAST(X'c3' AS TEXT) WHERE seq = 3" for name in verify.COLUMNS),
    "ALTER TABLE audit_auditentry DROP COLUMN actor",
    "DROP TABLE audit_auditentry",
]


@pytest.mark.parametrize("statement", SPOILED, ids=lambda text: text[:60])
def test_whatever_a_column_holds_the_verifier_says_where_and_never_breaks_down(
    tmp_path: Path, empty_file: Path, statement: str
) -> None:
    path = tmp_path / "drportal.sqlite3"
    shutil.copy(empty_file, path)
    whole = next(
        made
        for made in (chain(random.Random(seed), 5) for seed in numbers())
        if made[2]["run_id"] and made[2].get("site")
    )
    write_rows(path, whole)
    with sqlite3.connect(path) as database:
        changed = database.execute(statement).rowcount
    database.close()
    said = found_in(path, {5: whole[-1]["hash"]}) or ""
    assert ("try 3" if changed == 1 else "cannot be read") in said
    assert verify.main([str(path)]) == 1


@pytest.mark.parametrize("what", ["NaN", "1e999", "Infinity", HUGE, '"\\ud800"', "[" * 100_000])
def test_whatever_a_line_holds_the_verifier_says_where_and_never_breaks_down(tmp_path: Path, what: str) -> None:
    path = tmp_path / "trail.jsonl"
    write_lines(path, chain(random.Random(2), 5))
    lines = path.read_text("utf-8").split("\n")
    lines[2] = lines[2].replace('"payload":{', f'"payload":{{"a":{what},')
    path.write_text("\n".join(lines), "utf-8")
    assert "Line 3" in (found_in(path, {}) or "")


# --- the signed export


@pytest.fixture
def filled(db: None) -> None:
    with transaction.atomic():
        record_many(facts(random.Random(3), 30))


@pytest.mark.usefixtures("filled")
def test_an_export_verifies_with_nothing_but_what_it_holds(tmp_path: Path) -> None:
    export = keep_export(tmp_path / "trail.zip")
    with zipfile.ZipFile(export) as opened:
        opened.extract("verify.py", tmp_path)
        assert opened.read("audit-format.md").startswith(b"# The format of the trail")
        assert opened.read("trail.csv").count(b"\r\n") == 31
    words = [sys.executable, "-I", "-S", str(tmp_path / "verify.py"), str(export), "--key", public_key()]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All 30 entries are whole" in done.stdout


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("name", ["files", "entries", "last_seq", "first_seq", "previous_hash", "format"])
@pytest.mark.parametrize("instead", [None, "x", [], {}, 1e300], ids=str)
def test_a_manifest_signed_by_somebody_else_does_not_break_the_verifier_down(
    name: str, instead: object, tmp_path: Path
) -> None:
    def lie(each: str, content: bytes) -> bytes:
        if each == "manifest.sig":
            return sign(lie("manifest.json", opened.read("manifest.json"))).encode()
        return canonical({**json.loads(content), name: instead}) if each == "manifest.json" else content

    export = keep_export(tmp_path / "trail.zip")
    with zipfile.ZipFile(export) as opened:
        changed = repacked(export, lie)
    assert found_in(changed, {})


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(
    "name", ["trail.jsonl", "trail.csv", "verify.py", "audit-format.md", "manifest.json", "manifest.sig"]
)
def test_no_file_of_an_export_can_be_changed_or_left_out(name: str, tmp_path: Path) -> None:
    export = keep_export(tmp_path / "trail.zip")
    assert found_in(export, {}) is None

    def flip(each: str, content: bytes) -> bytes:
        return bytes([content[0] ^ 1]) + content[1:] if each == name else content

    assert found_in(repacked(export, flip), {})
    assert found_in(repacked(export, lambda each, content: None if each == name else content), {})


@pytest.mark.usefixtures("filled")
def test_nothing_can_be_put_into_an_export_and_a_foreign_key_is_not_ours(tmp_path: Path) -> None:
    export = keep_export(tmp_path / "trail.zip")
    assert found_in(repacked(export, lambda _, content: content, {"more.txt": b"!"}), {})
    with pytest.raises(Broken, match="not with the one you gave"):
        verify_file(export, {}, "ab" * 32)


@pytest.mark.usefixtures("filled")
def test_an_export_made_after_the_tail_was_cut_is_found_by_the_anchor(tmp_path: Path) -> None:
    export = keep_export(tmp_path / "trail.zip")
    said = found_in(export, {31: "0" * 64})
    assert said
    assert "cut off" in said


@pytest.mark.usefixtures("filled")
def test_a_filtered_export_holds_what_was_asked_for_and_says_that_it_is_chosen(tmp_path: Path) -> None:
    export = keep_export(tmp_path / "trail.zip", Filter(site="site-a", text="one-1"))
    expected = [entry["seq"] for entry in exported(1, 30) if entry.get("site") == "site-a"]
    with zipfile.ZipFile(export) as opened:
        kept = [json.loads(line)["seq"] for line in opened.read("trail.jsonl").splitlines()]
    assert kept == expected
    assert expected
    assert "chosen entries" in verify_file(export, {}, public_key()).sentence


@pytest.mark.usefixtures("filled")
def test_a_stretch_of_time_is_a_piece_of_the_chain(tmp_path: Path) -> None:
    with transaction.atomic():
        made = record_many(facts(random.Random(4), 5))
    export = keep_export(tmp_path / "trail.zip", Filter(since=made[0].at))
    assert "Entries 31 to 35 are whole" in verify_file(export, {}, public_key()).sentence


def test_cells_that_a_spreadsheet_would_run_are_quoted(db: None, tmp_path: Path) -> None:
    with transaction.atomic():
        record_many([Fact("note", "=1+1", "@sum", {})])
    with zipfile.ZipFile(keep_export(tmp_path / "trail.zip")) as opened:
        line = opened.read("trail.csv").decode().splitlines()[1]
    assert "'=1+1" in line
    assert "'@sum" in line


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="the verifier reads SQLite files; PostgreSQL's are its own")
def test_it_reads_the_database_file_as_it_is(tmp_path: Path) -> None:
    with transaction.atomic():
        record_many(facts(random.Random(5), 50))
    copy = tmp_path / "copy.sqlite3"
    with sqlite3.connect(connection.settings_dict["NAME"]) as live, sqlite3.connect(copy) as into:
        live.backup(into)
    found = verify_file(copy, {})
    assert found.ok, found.sentence
    assert found.entries == 50


@pytest.mark.usefixtures("filled")
def test_the_command_exports_and_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("trail", "export", zip=tmp_path / "trail.zip")
    assert public_key() in capsys.readouterr().out
    assert verify_file(tmp_path / "trail.zip", {}, public_key()).ok
    (tmp_path / "noted.jsonl").write_text(json.dumps({"seq": 9, "hash": "0" * 64}) + "\n")
    assert anchors_of_file(tmp_path / "noted.jsonl") == {9: "0" * 64}
    with pytest.raises(SystemExit):
        call_command("trail", "verify", anchors=tmp_path / "noted.jsonl")
