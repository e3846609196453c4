"""The trail: it only grows, and whatever is done to it behind the portal's back is found (I7)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.transaction import TransactionManagementError

from drportal.audit import verify
from drportal.audit.check import verify_database
from drportal.audit.models import AuditEntry
from drportal.audit.record import Fact, exported, record, record_many
from tests.conftest import trail_triggers

VERIFIER = Path(verify.__file__)
NAUGHTY = {
    "whole": 2.0,
    "huge": 1e17,
    "tiny": 1e-9,
    "negative zero": -0.0,
    "half": 0.5,
    "text": "Zoë — \u2028 \x00 \ud800 \U0001f525",
    "when": dt.datetime(2026, 3, 1, 4, 5, 6, 7, tzinfo=dt.UTC),
    "nested": [{"b": 1, "a": None}, True, ("x", 2)],
    "set": {"b", "a"},
}


def fill(number: int = 5) -> None:
    with transaction.atomic():
        for count in range(number):
            record(
                "run.step",
                f"image {count}",
                {"count": count, **NAUGHTY},
                actor="operator",
                run_id=count,
                site="site-a" if count % 2 else None,
            )


def tamper(statement: str, *parameters: object) -> None:
    """As somebody would who may drop triggers."""
    triggers = trail_triggers.statements(connection.vendor)
    with connection.cursor() as cursor:
        for _, backward in reversed(triggers):
            cursor.execute(backward)
        cursor.execute(statement, parameters)
        for forward, _ in triggers:
            cursor.execute(forward)


@pytest.mark.django_db
def test_a_whole_chain_verifies_after_the_database_has_had_its_way_with_it() -> None:
    fill()
    found = verify_database()
    assert found.ok, found.sentence
    assert (found.entries, found.head_seq) == (5, 5)
    assert found.head_hash == AuditEntry.objects.get(seq=5).hash


@pytest.mark.django_db
def test_an_empty_trail_is_whole() -> None:
    assert verify_database().ok


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditentry SET actor = 'nobody' WHERE seq = 2",
        "DELETE FROM audit_auditentry WHERE seq = 2",
        "DELETE FROM audit_auditentry",
    ],
)
def test_the_database_refuses_to_change_or_remove_an_entry(statement: str) -> None:
    fill()
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert verify_database().ok


COPIED = "run_id, payload, previous_hash, site"
REPLACED = {
    "sqlite": {
        "by number": "INSERT OR REPLACE INTO audit_auditentry (seq, at, actor, action, subject, hash, {copied}) "
        "SELECT seq, at, 'mallory', action, subject, 'new', {copied} FROM audit_auditentry WHERE seq = 2",
        "by hash": "REPLACE INTO audit_auditentry (seq, at, actor, action, subject, hash, {copied}) "
        "SELECT 9, at, 'mallory', action, subject, hash, {copied} FROM audit_auditentry WHERE seq = 2",
        "by row": "REPLACE INTO audit_auditentry (rowid, seq, at, actor, action, subject, hash, {copied}) "
        "SELECT rowid, 9, at, 'mallory', action, subject, 'new', {copied} FROM audit_auditentry WHERE seq = 2",
        "update": "UPDATE OR REPLACE audit_auditentry SET seq = 2 WHERE seq = 3",
    },
    "both": {
        "upsert": "INSERT INTO audit_auditentry (seq, at, actor, action, subject, hash, {copied}) "
        "SELECT seq, at, actor, action, subject, 'new', {copied} FROM audit_auditentry WHERE seq = 2 "
        "ON CONFLICT (seq) DO UPDATE SET actor = 'mallory'",
    },
}


@pytest.mark.django_db
def test_the_database_refuses_to_put_an_entry_in_another_ones_place() -> None:
    fill()
    kept = list(AuditEntry.objects.values())
    for statement in {**REPLACED.get(connection.vendor, {}), **REPLACED["both"]}.values():
        with pytest.raises(DatabaseError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement.format(copied=COPIED))
    assert list(AuditEntry.objects.values()) == kept


@pytest.mark.django_db
def test_postgresql_refuses_truncate_too() -> None:
    fill()
    if connection.vendor == "sqlite":
        assert not any("TRUNCATE" in forward for forward, _ in trail_triggers.statements("sqlite"))
        return
    with pytest.raises(DatabaseError, match="only grows"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE audit_auditentry")


@pytest.mark.django_db
def test_the_model_cannot_be_saved_over_or_deleted_either() -> None:
    fill()
    entry = AuditEntry.objects.get(seq=3)
    entry.subject = "something else"
    for act in (entry.save, entry.delete):
        with pytest.raises(DatabaseError, match="only grows"), transaction.atomic():
            act()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("statement", "parameters", "says"),
    [
        ("UPDATE audit_auditentry SET actor = 'somebody' WHERE seq = 3", (), "Entry 3 was changed"),
        ("UPDATE audit_auditentry SET payload = %s WHERE seq = 3", ['{"count": 9}'], "Entry 3 was changed"),
        ("UPDATE audit_auditentry SET run_id = 77 WHERE seq = 1", (), "Entry 1 was changed"),
        ("DELETE FROM audit_auditentry WHERE seq = 3", (), "Entry 3 is missing"),
        ("DELETE FROM audit_auditentry WHERE seq = 1", (), "Entry 1 is missing"),
        (
            "UPDATE audit_auditentry SET seq = CASE seq WHEN 2 THEN -3 ELSE -2 END WHERE seq IN (2, 3)",
            (),
            "Entry -3 stands where entry 1 should be",
        ),
    ],
    ids=["actor", "payload", "run", "removed", "first removed", "moved"],
)
def test_it_finds_what_was_done_behind_its_back(statement: str, parameters: tuple[str, ...], says: str) -> None:
    fill()
    tamper(statement, *parameters)
    found = verify_database()
    assert not found.ok
    assert says in found.sentence


@pytest.mark.django_db
def test_it_finds_two_entries_that_changed_places() -> None:
    fill()
    tamper("UPDATE audit_auditentry SET seq = 100 WHERE seq = 2")
    tamper("UPDATE audit_auditentry SET seq = 2 WHERE seq = 3")
    tamper("UPDATE audit_auditentry SET seq = 3 WHERE seq = 100")
    found = verify_database()
    assert not found.ok
    assert "Entry 2 does not follow" in found.sentence


@pytest.mark.django_db
def test_it_finds_an_entry_that_was_rewritten_with_a_hash_of_its_own() -> None:
    fill()
    entries = list(exported())
    entries[2]["actor"] = "somebody"
    entries[2]["hash"] = verify.entry_hash(entries[2])
    found = verify.verify(entries)
    assert not found.ok
    assert "Entry 4 does not follow" in found.sentence


@pytest.mark.django_db
def test_a_cut_tail_is_found_with_a_head_that_was_noted() -> None:
    fill()
    head = verify_database()
    tamper("DELETE FROM audit_auditentry WHERE seq > 3")
    assert verify_database().ok, "a chain alone cannot show this"
    found = verify_database({head.head_seq: head.head_hash})
    assert not found.ok
    assert "cut off" in found.sentence


@pytest.mark.django_db
def test_a_chain_written_anew_is_found_with_a_head_that_was_noted() -> None:
    fill()
    found = verify_database({3: "0" * 64})
    assert not found.ok
    assert "written anew" in found.sentence


@pytest.mark.django_db(transaction=True)
def test_it_records_only_inside_a_transaction_so_that_both_are_kept_or_neither() -> None:
    with pytest.raises(TransactionManagementError):
        record("run.request", "a run", {}, actor="operator")
    with pytest.raises(RuntimeError, match="changed my mind"), transaction.atomic():
        fill()
        raise RuntimeError("changed my mind")
    assert AuditEntry.objects.count() == 0
    fill()
    assert verify_database().ok


@pytest.mark.django_db
def test_many_facts_keep_their_order() -> None:
    with transaction.atomic():
        made = record_many([Fact("step.intent", str(number), "executor") for number in range(50)])
        assert record_many([]) == []
    assert [entry.seq for entry in made] == list(range(1, 51))
    assert [entry.subject for entry in AuditEntry.objects.all()] == [str(number) for number in range(50)]


@pytest.mark.django_db
@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", object()])
def test_it_refuses_what_would_not_read_back_the_same(value: object) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)), transaction.atomic():
        record("run.request", "a run", {"value": value}, actor="operator")
    assert AuditEntry.objects.count() == 0


@pytest.fixture
def export(tmp_path: Path, db: None) -> Path:
    fill()
    kept = tmp_path / "trail.jsonl"
    kept.write_bytes(b"".join(verify.canonical(entry) + b"\n" for entry in exported()))
    return kept


def lines_of(export: Path) -> list[str]:
    """Lines end with a newline and with nothing else (a payload may hold U+2028)."""
    return [line + "\n" for line in export.read_text(encoding="utf-8").split("\n") if line]


def run_verifier(*words: str) -> subprocess.CompletedProcess[str]:
    """Isolated: no site packages, no project on the path."""
    return subprocess.run([sys.executable, "-I", "-S", str(VERIFIER), *words], capture_output=True, text=True)


def drop_line(lines: list[str]) -> list[str]:
    return lines[:2] + lines[3:]


def swap_lines(lines: list[str]) -> list[str]:
    return [lines[0], lines[2], lines[1], *lines[3:]]


def flip_letter(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[3].replace('"operator"', '"operatoR"'), lines[4]]


def cut_in_the_middle(lines: list[str]) -> list[str]:
    return [*lines[:3], lines[3][:40]]


def test_a_stranger_can_verify_an_export_without_the_portal(export: Path) -> None:
    done = run_verifier(str(export))
    assert done.returncode == 0, done.stdout + done.stderr
    head = done.stdout.rpartition("Head: ")[2].strip()
    assert run_verifier(str(export), "--head", head).returncode == 0


@pytest.mark.parametrize("change", [drop_line, swap_lines, flip_letter, cut_in_the_middle])
def test_the_verifier_finds_changes_in_an_export(export: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = lines_of(export)
    export.write_text("".join(change(lines)), encoding="utf-8")
    assert run_verifier(str(export)).returncode == 1


def test_the_verifier_finds_a_cut_tail_by_the_noted_head(export: Path) -> None:
    head = run_verifier(str(export)).stdout.rpartition("Head: ")[2].strip()
    lines = lines_of(export)
    export.write_text("".join(lines[:-1]), encoding="utf-8")
    assert run_verifier(str(export)).returncode == 0
    cut = run_verifier(str(export), "--head", head)
    assert cut.returncode == 1
    assert "cut off" in cut.stdout


def test_the_documented_recipe_gives_the_same_hash(export: Path) -> None:
    """The Python of docs/audit-format.md, as a stranger would type it."""
    page = (Path(__file__).parents[2] / "docs" / "audit-format.md").read_text()
    recipe = page.split("```python\n")[1].split("```")[0]
    for line in lines_of(export):
        names: dict[str, Any] = {"entry": json.loads(line), "json": json, "hashlib": hashlib}
        exec(recipe, names)
