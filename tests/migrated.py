"""The database as all migrations leave it, made once and copied by whoever needs one.

Eighty migrations take seven seconds to compute, and every process of pytest, every portal of the end-to-end tests and
every planted bug begins with an empty database. What Django does with a copy is what it does with any database that is
up to date: nothing. The copy's name is made of the migrations' texts, so that it can't be an old one.

    python -m tests.migrated postgresql://...          migrates that database
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from django.db.backends.sqlite3.creation import DatabaseCreation

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "tests"


def migrate(database_url: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DRPORTAL_")}
    env = {**kept, "DJANGO_SETTINGS_MODULE": "drportal.settings", "DRPORTAL_DEBUG": "1"}
    env["DRPORTAL_DATABASE_URL"] = database_url
    words = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(words, cwd=ROOT, env=env, check=True)


def _name() -> str:
    told = hashlib.sha256((ROOT / "requirements.txt").read_bytes())  # the libraries have migrations, too
    for file in sorted(ROOT.glob("drportal/*/migrations/*.py")):
        told.update(file.name.encode() + file.read_bytes())
    return f"migrated-{told.hexdigest()[:16]}.sqlite3"


def migrated() -> Path:
    """The file to copy."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / _name()
    with (FOLDER / "migrated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            for old in FOLDER.glob("migrated-*"):
                old.unlink()
            _make(file)
    return file


def _make(file: Path) -> None:
    made, whole = FOLDER / "migrated-new.sqlite3", FOLDER / "migrated-whole.sqlite3"
    migrate(f"sqlite:///{made}")
    connection = sqlite3.connect(made)
    connection.execute("VACUUM INTO ?", [str(whole)])  # one file, without a log beside it
    connection.close()
    whole.rename(file)
    for left in FOLDER.glob("migrated-new*"):
        left.unlink()


def copied_to(place: Path) -> None:
    shutil.copyfile(migrated(), place)


def begin_with_a_copy(patch: pytest.MonkeyPatch) -> None:
    """pytest-django's databases on SQLite. On PostgreSQL the settings name a template."""
    made = DatabaseCreation._create_test_db

    def create(self: DatabaseCreation, verbosity: int, autoclobber: bool, keepdb: bool = False) -> str:
        name = made(self, verbosity, autoclobber, keepdb)
        copied_to(Path(name))
        return name

    patch.setattr(DatabaseCreation, "_create_test_db", create)


if __name__ == "__main__":
    migrate(sys.argv[1])
