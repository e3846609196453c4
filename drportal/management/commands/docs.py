"""Write the parts of docs/ that come from the code: the tables of verdicts and of evidence, the two state machines, the
lab's faults."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from drportal.engine.evidence import evidence_table_markdown
from drportal.engine.states import RUN_TRANSITIONS, STEP_TRANSITIONS, mermaid
from drportal.engine.verdicts import verdict_table_markdown
from drportal.lab.faults import faults_markdown

PAGES = ("architecture.md", "lab.md")


def generated() -> dict[str, str]:
    """Name of each generated part -> its text."""
    return {
        "verdicts": verdict_table_markdown(),
        "evidence": evidence_table_markdown(),
        "run states": f"```mermaid\n{mermaid(RUN_TRANSITIONS)}\n```",
        "step states": f"```mermaid\n{mermaid(STEP_TRANSITIONS)}\n```",
        "faults": faults_markdown(),
    }


def filled(text: str) -> str:
    """The page with every generated part put between its BEGIN and END marks."""
    for name, part in generated().items():
        marks = re.compile(rf"(<!-- BEGIN {name} [^\n]*-->\n).*?(<!-- END {name} [^\n]*-->)", re.DOTALL)
        if found := marks.search(text):
            text = f"{text[: found.start()]}{found[1]}{part.strip()}\n{found[2]}{text[found.end() :]}"
    return text


class Command(BaseCommand):
    help = "Write the generated parts of docs/ (--check: only compare)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in PAGES:
            page = settings.BASE_DIR / "docs" / name
            before = page.read_text()
            after = filled(before)
            if options["check"] and before != after:
                raise CommandError(f"{page.name} is not what the code says: run `manage.py docs` and commit it.")
            if before != after:
                page.write_text(after)
