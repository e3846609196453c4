"""Start a throw-away PostgreSQL, run the given command against it, and remove it again.

    python tests/with_postgres.py pytest tests/audit

The command finds its address in DRPORTAL_TEST_DATABASE_URL, in DRPORTAL_TEST_POSTGRES_TEMPLATE (for pytest) a database
that has been migrated, to be copied, and in DRPORTAL_TEST_POSTGRES_CONTROL what pg_ctl is called
with, for a test that stops and starts it (JSON; the verb and ``-m`` are added).

PostgreSQL refuses to run as root, so as root the server runs as the system's `postgres` user. Without the server
programs the command is not run and the exit status is 0, with a sentence; with DRPORTAL_REQUIRE_ALL=1 it is 1.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "migrated"


def server_programs() -> Path | None:
    """The folder with initdb and pg_ctl: Debian keeps it off PATH, one folder a version."""
    on_path = shutil.which("pg_ctl")
    if on_path:
        return Path(on_path).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda p: int(p.parent.parent.name))
    return versions[-1].parent if versions else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(command: list[str], *, fsync: str = "off") -> int:
    """``fsync="on"`` where the database's speed is measured."""
    programs = server_programs()
    if programs is None:
        sys.stdout.write("PostgreSQL's server programs are not installed (apt-get install postgresql): not run.\n")
        return 1 if os.environ.get("DRPORTAL_REQUIRE_ALL") == "1" else 0
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="drportal-pg-") as folder:
        data, port = Path(folder) / "data", free_port()
        if as_owner:
            shutil.chown(folder, "postgres")
        initdb = [
            *as_owner,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "drportal",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync={fsync}"
        control = [*as_owner, str(programs / "pg_ctl"), "-D", str(data), "-w"]
        subprocess.run(
            [*control, "-o", options, "-l", f"{folder}/log", "start"], check=True, stdout=subprocess.DEVNULL, cwd="/"
        )
        try:
            url = f"postgresql://drportal@127.0.0.1:{port}"
            env = {
                "DRPORTAL_TEST_DATABASE_URL": f"{url}/postgres",
                "DRPORTAL_TEST_POSTGRES_CONTROL": json.dumps([*control, "-o", options, "-l", f"{folder}/log"]),
            }
            if any(Path(word).name == "pytest" for word in command):
                createdb = [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "drportal", TEMPLATE]
                subprocess.run(createdb, check=True)
                words = [sys.executable, "-m", "tests.migrated", f"{url}/{TEMPLATE}"]
                subprocess.run(words, check=True, cwd=ROOT)
                env["DRPORTAL_TEST_POSTGRES_TEMPLATE"] = TEMPLATE
            return subprocess.run(command, env={**os.environ, **env}).returncode
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], stdout=subprocess.DEVNULL, cwd="/")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
