"""Write docs/openapi.json, from which the page's types are made."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


def document() -> str:
    """The OpenAPI document as text."""
    import drportal.urls  # noqa: F401  (mounts the routers)
    from drportal.api import api

    return json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), indent=1, ensure_ascii=False) + "\n"


class Command(BaseCommand):
    help = "Write docs/openapi.json (--check: only compare)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        kept = settings.BASE_DIR / "docs" / "openapi.json"
        text = document()
        same = kept.exists() and kept.read_text() == text
        if options["check"] and not same:
            raise CommandError("docs/openapi.json is not what the code says: run `manage.py openapi` and commit it.")
        if not same:
            kept.write_text(text)
