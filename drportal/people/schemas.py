"""What shows that it is you, as the API takes it; other apps' dangerous acts take it too."""

from __future__ import annotations

from typing import Any

from ninja import Field, Schema

from drportal.people.proof import Proof


class ProofIn(Schema):
    """One of: ``password``; ``code`` of an app, or a recovery code; ``key``: the answer of a security key to
    ``/session/key-challenge``. None of them: you have just signed in at the identity provider again."""

    password: str = Field("", max_length=1000)
    code: str = Field("", max_length=40)
    key: dict[str, Any] | None = None

    def proof(self) -> Proof:
        return Proof(self.password, self.code, self.key)
