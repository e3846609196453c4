"""The keys that seal the sites' credentials and the alert channels' addresses: which is in use, and a new one."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser
from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from drportal.errors import PortalError
from drportal.inventory.secrets import Rotation, key_name, secrets_rotate, secrets_standing

HELP = """new-key: print a new key, to be put before the others in DRPORTAL_ENCRYPTION_KEYS. status: which key seals how
many secrets. rotate: seal every secret with the first key; may be cut off at any moment and repeated. Exit status 1
when a secret opens with none of the keys."""


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["new-key", "status", "rotate"])

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "new-key":
            self.stdout.write(Fernet.generate_key().decode())
            return
        try:
            if options["action"] == "status":
                self.tell(secrets_standing())
                return
            found = secrets_rotate(f"cli:{getpass.getuser()}")
        except PortalError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{found.resealed} sealed anew")
        self.tell(found)

    def tell(self, found: Rotation) -> None:
        newest, *older = (key_name(key) for key in settings.ENCRYPTION_KEYS)
        self.stdout.write(f"key {newest} (the first, seals what is new): {found.under[newest]}")
        for name in older:
            still = found.under[name]
            advice = "run `manage.py secrets rotate`" if still else "no secret needs it; older backups may"
            self.stdout.write(f"key {name} (older): {still}; {advice}")
        if found.unreadable:
            raise CommandError(
                f"{len(found.unreadable)} open with none of these keys and were left alone: "
                f"{'; '.join(found.unreadable)}. Add their key to DRPORTAL_ENCRYPTION_KEYS, or store them anew."
            )
