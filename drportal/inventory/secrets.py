"""Which key seals what is kept sealed (``drportal/sealing.py``), and another key for all of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models, transaction

from drportal.audit.record import record
from drportal.sealing import fernet


def key_name(key: str) -> str:
    """What a key may be called aloud: it tells two keys apart, and nothing about either."""
    return hashlib.sha256(b"drportal key name:" + key.strip().encode()).hexdigest()[:12]


def sealed_tables() -> list[type[models.Model]]:
    """Every table with a column ``ciphertext``: found and not listed, so that none is forgotten."""
    found = apps.get_models()
    return [model for model in found if any(field.name == "ciphertext" for field in model._meta.concrete_fields)]


@dataclass(frozen=True, slots=True)
class Rotation:
    """``under``: how many secrets each key (by its name) now seals. ``unreadable``: rows that no key here opens."""

    resealed: int
    under: dict[str, int]
    unreadable: list[str]


def secrets_standing() -> Rotation:
    """Which key seals how many secrets. Changes nothing. Raises SecretsUnavailable."""
    return _counted(0)


def secrets_rotate(actor: str) -> Rotation:
    """Seal every secret with the newest key. Raises SecretsUnavailable.

    Row by row, each by itself: wherever it ends, every row opens with one of the keys, and the next call goes on. A
    row that somebody else changes meanwhile is left as they made it and looked at again.
    """
    fernet()
    resealed = sum(_reseal_row(model, pk) for model, pk, _ in _rows())
    found = _counted(resealed)
    with transaction.atomic():
        facts = {"resealed": found.resealed, "under": found.under, "unreadable": found.unreadable}
        record("secrets.rotate", key_name(settings.ENCRYPTION_KEYS[0]), facts, actor=actor)
    return found


def _rows() -> Iterator[tuple[Any, int, bytes]]:
    for model in sealed_tables():
        for pk, sealed in list(model._default_manager.order_by("pk").values_list("pk", "ciphertext")):
            yield model, pk, bytes(sealed)


def _reseal_row(model: Any, pk: int) -> bool:
    """Whether it was sealed anew. By compare and set: nobody's change is undone."""
    while True:
        before = model._default_manager.filter(pk=pk).values_list("ciphertext", flat=True).first()
        if before is None or _key_of(bytes(before)) in (None, settings.ENCRYPTION_KEYS[0]):
            return False
        after = fernet().rotate(bytes(before))
        if model._default_manager.filter(pk=pk, ciphertext=before).update(ciphertext=after):
            return True


def _key_of(sealed: bytes) -> str | None:
    for key in settings.ENCRYPTION_KEYS:
        try:
            Fernet(key).decrypt(sealed)
        except InvalidToken:
            continue
        return str(key)
    return None


def _counted(resealed: int) -> Rotation:
    fernet()
    under: Counter[str] = Counter({key_name(key): 0 for key in settings.ENCRYPTION_KEYS})
    unreadable = []
    for model, pk, sealed in _rows():
        key = _key_of(sealed)
        if key is None:
            unreadable.append(f"{model._meta.verbose_name} {pk} ({model._default_manager.filter(pk=pk).first()})")
        else:
            under[key_name(key)] += 1
    return Rotation(resealed, dict(under), unreadable)
