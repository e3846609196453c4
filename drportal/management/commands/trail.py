"""The trail on the command line: export it for a stranger's verifier, check it here, note its head elsewhere."""

from __future__ import annotations

import shutil
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from drportal.audit import anchors, signing
from drportal.audit.export import trail_export
from drportal.audit.record import exported
from drportal.audit.search import Filter
from drportal.audit.verify import Broken, anchor, anchors_of_file, canonical
from drportal.errors import PortalError

HELP = """export: print the trail as JSON lines, or with --zip FILE write the signed export.
verify: walk the chain and hold it against the heads that were noted; exit status 1 when it is not whole.
anchor: note the head at every place that is due. key: print the public key. new-key: print a new private key."""


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["export", "verify", "anchor", "key", "new-key"])
        head = "a head noted earlier"
        parser.add_argument("--head", type=anchor, action="append", default=[], metavar="SEQ:HASH", help=head)
        parser.add_argument(
            "--anchors", type=Path, metavar="FILE", help="a file of heads, beside those of the settings"
        )
        parser.add_argument("--zip", type=Path, metavar="FILE", help="where the signed export goes")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["action"].replace("-", "_"))(options)
        except (Broken, OSError, PortalError) as error:
            raise CommandError(str(error)) from None

    def export(self, options: dict[str, Any]) -> None:
        if options["zip"] is None:
            for entry in exported():
                self.stdout.write(canonical(entry).decode())
            return
        with trail_export(Filter(), "cli") as made, options["zip"].open("wb") as kept:
            shutil.copyfileobj(made, kept)
        self.stdout.write(f"{options['zip']}, signed with the key {signing.public_key()}")

    def verify(self, options: dict[str, Any]) -> None:
        given = [options["head"], (anchors_of_file(options["anchors"]) if options["anchors"] else {}).items()]
        found, _ = anchors.verify_against_noted(anchors.joined(given))
        self.stdout.write(found.sentence)
        if not found.ok:
            sys.exit(1)

    def anchor(self, options: dict[str, Any]) -> None:
        for made in anchors.anchor_due():
            self.stdout.write(f"{made.place}: {made.seq}:{made.hash} {made.sentence}")

    def key(self, options: dict[str, Any]) -> None:
        self.stdout.write(signing.public_key())

    def new_key(self, options: dict[str, Any]) -> None:
        self.stdout.write(signing.new_key())
