"""The key that signs exports: Ed25519, from the environment, so that whoever has only the database cannot sign."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from drportal.errors import PortalError


class NoSigningKey(PortalError):
    status = 503
    code = "no_signing_key"


def new_key() -> str:
    """A new private key as ``DRPORTAL_SIGNING_KEY`` wants it: 64 hex digits."""
    return Ed25519PrivateKey.generate().private_bytes_raw().hex()


def _key() -> Ed25519PrivateKey:
    """Raises NoSigningKey."""
    try:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(settings.SIGNING_KEY))
    except ValueError:
        raise NoSigningKey(
            "No key to sign with is set (DRPORTAL_SIGNING_KEY), so nothing was exported. "
            "`manage.py trail new-key` prints one; keep it apart from the database."
        ) from None


def sign(message: bytes) -> str:
    """Hex of the signature. Raises NoSigningKey."""
    return _key().sign(message).hex()


def public_key() -> str:
    """Hex; what a verifier is given. Raises NoSigningKey."""
    return _key().public_key().public_bytes_raw().hex()
