"""What all tests of people share."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from allauth.mfa.totp.internal import auth as totp


@pytest.fixture(autouse=True)
def codes_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """No half minute ends in the middle of a test: the app's clock and the library's stand still."""
    now = time.time()
    monkeypatch.setattr(totp, "time", SimpleNamespace(time=lambda: now))
