"""The labs, from the portal's own command line: `manage.py lab fail DIR a site-down`."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand

from drportal.lab.cli import main


class Command(BaseCommand):
    help = "Start, look at, break and mend a lab of two sites (the same words as python -m drportal.lab)."

    def run_from_argv(self, argv: list[str]) -> None:
        """All words go to the lab's own parser, which knows its options and its --help."""
        sys.exit(main(argv[2:]))

    def handle(self, *args: Any, **options: Any) -> None:
        """Only ``call_command("lab", "status", DIR)`` comes here."""
        main([str(word) for word in args])
