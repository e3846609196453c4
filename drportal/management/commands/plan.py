"""``manage.py plan``: look at plans from a terminal."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from drportal.errors import NotFound
from drportal.recovery import building
from drportal.recovery.api import kind_of
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.preview import preview
from drportal.recovery.terminal import DONE, EXIT_STATUS, told


class Command(BaseCommand):
    help = "List plans, or show one with every command that its run would send."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EXIT_STATUS, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="every plan and where its group runs")
        show = verbs.add_parser("show", help="a plan's steps and commands")
        show.add_argument("plan", help="id or name")
        show.add_argument("--kind", help="planned_failover or failback (default: the one that is possible now)")

    def handle(self, *args: Any, **options: Any) -> None:
        told(lambda: self.list() if options["verb"] == "list" else self.show(options["plan"], options["kind"]))

    def list(self) -> int:
        for plan in RecoveryPlan.objects.select_related("group__home_site", "group__active_site"):
            group, active = plan.group, building.active_run(plan.group)
            run = f"  run {active.pk} {active.state}" if active else ""
            vms = group.members.count()
            self.stdout.write(
                f"{plan.pk:4} {plan.name:30} {vms} VMs, home {group.home_site.slug}, "
                f"active {group.active_site.slug}{run}"
            )
        return DONE

    def show(self, which: str, kind: str | None) -> int:
        plan = find_plan(which)
        at_home = plan.group.active_site_id == plan.group.home_site_id
        seen = preview(plan, kind_of(kind or ("planned_failover" if at_home else "failback")))
        self.stdout.write(
            f"{plan.name} (version {plan.version}): {seen.kind}, {seen.source_site} to {seen.target_site}"
        )
        for sentence in seen.consequences:
            self.stdout.write(f"  {sentence}")
        for step in seen.steps:
            self.stdout.write(f"{step.title}: {step.subject} at {step.site}")
            for command in step.commands:
                self.stdout.write(f"    {command}")
        self.stdout.write(f"To start it: manage.py run start {plan.pk} {seen.kind}")
        return DONE


def find_plan(which: str) -> RecoveryPlan:
    """By id or name. Raises NotFound."""
    plans = RecoveryPlan.objects.select_related(
        "group__pair__a", "group__pair__b", "group__home_site", "group__active_site"
    )
    found = plans.filter(pk=int(which)) if which.isdecimal() else plans.filter(name=which)
    plan = found.first()
    if plan is None:
        raise NotFound(f"There is no plan “{which}”. See: manage.py plan list")
    return plan
