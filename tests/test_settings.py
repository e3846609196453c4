"""The settings as production has them, in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

ROOT = Path(__file__).parent.parent


def manage(*words: str, **given: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DRPORTAL_", "DJANGO_"))}
    production = {
        "DRPORTAL_SECRET_KEY": "qR7-production-like-0f8a41c2d9e6b35740ccaa1fe-with-many-signs_%",
        "DRPORTAL_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "DRPORTAL_SIGNING_KEY": "07" * 32,
        "DRPORTAL_DATABASE_URL": "postgresql://drportal@127.0.0.1:1/drportal",
        "DRPORTAL_ALLOWED_HOSTS": "portal.example.org",
        "DRPORTAL_TRUSTED_ORIGINS": "https://portal.example.org",
        "DRPORTAL_HTTPS": "1",
    }
    argv = [sys.executable, "manage.py", *words]
    env = {**kept, **production, **given}
    return subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_the_deployment_check_finds_nothing() -> None:
    checked = manage("check", "--deploy", "--fail-level", "DEBUG")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "no issues (0 silenced)" in checked.stdout


def test_the_deployment_check_would_find_something() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING", DRPORTAL_HTTPS="0")
    assert checked.returncode == 1
    assert "SESSION_COOKIE_SECURE" in checked.stderr


@pytest.mark.parametrize("given", ["10.0.0.0/33", "proxy.example.org", "*"])
def test_a_trusted_proxy_that_is_no_address_stops_the_start(given: str) -> None:
    checked = manage("check", DRPORTAL_TRUSTED_PROXIES=given)
    assert checked.returncode == 1
    assert "DRPORTAL_TRUSTED_PROXIES" in checked.stderr
