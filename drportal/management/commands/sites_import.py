"""``manage.py sites_import sites.yaml``: tell the portal about many sites and their pairs at once. Without secrets."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from ninja import Schema
from pydantic import ConfigDict, ValidationError

from drportal.errors import PortalError
from drportal.inventory import services
from drportal.inventory.api import PairIn, SiteIn
from drportal.inventory.api_witnesses import WitnessIn
from drportal.inventory.models import Site, SitePair, Witness
from drportal.inventory.witnesses import authorized_key, witness_create


class PairWithWitnesses(PairIn):
    """``witnesses``: as POST /pairs/…/witnesses takes them. What is unknown is refused, not passed over."""

    model_config = ConfigDict(extra="forbid")

    witnesses: list[WitnessIn] = []


class Document(Schema):
    """``sites``: as POST /sites takes them; ``pairs``: as POST /pairs does, each with its witnesses."""

    model_config = ConfigDict(extra="forbid")

    sites: list[SiteIn] = []
    pairs: list[PairWithWitnesses] = []


class Command(BaseCommand):
    help = "Import sites and pairs from a YAML file: all of it, or nothing. What is there already is left as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--actor", default="sites_import", help="whose name the trail bears")
        parser.add_argument("--dry-run", action="store_true", help="only say what would be done")

    def handle(self, *args: Any, **options: Any) -> None:
        self.lines: list[str] = []  # of keys that were made; those of a dry run are gone
        try:
            document = Document.model_validate(yaml.safe_load(options["file"].read_text()) or {})
        except (OSError, yaml.YAMLError, ValidationError) as error:
            raise CommandError(f"{options['file']} was not imported: {error}") from None
        try:
            with transaction.atomic():
                self.take(document, options["actor"])
                if options["dry_run"]:
                    transaction.set_rollback(True)
        except PortalError as error:
            raise CommandError(f"Nothing was imported. {error.detail}") from None
        if options["dry_run"]:
            self.stdout.write("Nothing was changed: this was a dry run.")
            return
        for line in self.lines:
            self.stdout.write(line)

    def take(self, document: Document, actor: str) -> None:
        for site in document.sites:
            if Site.objects.filter(slug=site.slug).exists():
                self.stdout.write(f"site {site.slug}: is there already, left as it is")
                continue
            services.site_create(actor=actor, fields=site.dict())
            self.stdout.write(f"site {site.slug}: added; its credentials are to be stored")
        for pair in document.pairs:
            both = [pair.a, pair.b]
            row = SitePair.objects.filter(a__slug__in=both, b__slug__in=both).first()
            if row is None:
                row = services.pair_create(actor=actor, a=pair.a, b=pair.b, pools=pair.pools)
                self.stdout.write(f"pair {pair.a} and {pair.b}: added")
            else:
                self.stdout.write(f"pair {pair.a} and {pair.b}: is there already, left as it is")
            self.take_witnesses(row, pair.witnesses, actor)

    def take_witnesses(self, pair: SitePair, given: list[WitnessIn], actor: str) -> None:
        for one in given:
            if Witness.objects.filter(pair=pair, name=one.name).exists():
                self.stdout.write(f"witness {one.name}: is there already, left as it is")
                continue
            witness = witness_create(actor=actor, pair=pair, fields=one.dict())
            self.stdout.write(f"witness {one.name}: added; its line for authorized_keys is to be put in place")
            self.lines.append(f"{one.ssh_user}@{one.ssh_host}: {authorized_key(witness)}")
