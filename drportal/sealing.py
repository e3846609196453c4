"""Encryption of the sites' credentials and of the secrets of second factors:

Fernet with keys that are not in the database (``DRPORTAL_ENCRYPTION_KEYS``, newest first). What is sealed stands in a
column ``ciphertext``, so that ``manage.py secrets rotate`` finds it.
"""

from __future__ import annotations

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from drportal.errors import PortalError


class SecretsUnavailable(PortalError):
    """There is no key, or none that fits. Nothing was sent to a site."""

    status = 503
    code = "secrets_unavailable"


def fernet() -> MultiFernet:
    if not settings.ENCRYPTION_KEYS:
        raise SecretsUnavailable(
            "No encryption key is set (DRPORTAL_ENCRYPTION_KEYS), so credentials can be neither kept nor read."
        )
    try:
        return MultiFernet([Fernet(key) for key in settings.ENCRYPTION_KEYS])
    except ValueError:
        raise SecretsUnavailable("DRPORTAL_ENCRYPTION_KEYS holds something that is not a Fernet key.") from None


def seal(secret: bytes) -> bytes:
    """Encrypted with the newest key."""
    return fernet().encrypt(secret)


def unseal(sealed: bytes) -> bytes:
    """Decrypted with whichever key fits. Raises SecretsUnavailable."""
    try:
        return fernet().decrypt(bytes(sealed))
    except InvalidToken:
        raise SecretsUnavailable(
            "A stored credential was encrypted with a key that is not among DRPORTAL_ENCRYPTION_KEYS. "
            "Add that key, or store the credential anew."
        ) from None
