"""``manage.py run``: start, watch and steer runs from a terminal, when the browser is the thing that is broken."""

from __future__ import annotations

import argparse
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from drportal.engine.partial import Choice
from drportal.engine.plans import RunKind
from drportal.engine.salvage import SalvageChoice, SalvageWay
from drportal.engine.states import TERMINAL_RUN, RunState
from drportal.errors import Invalid
from drportal.inventory.models import MirroredImage
from drportal.management.commands.plan import find_plan
from drportal.recovery import building, models
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.presenters import RunPage, title
from drportal.recovery.recopies import recopies_of, recopy_out
from drportal.recovery.salvaging import Wish
from drportal.recovery.services import choices, runs
from drportal.recovery.terminal import DONE, EXIT_STATUS, actor_argument, actor_of, status_of, told

LOOK_S = 0.5
CHOICES = {
    Choice.RETRY: "try the failed steps of these VMs again, and end their hold",
    Choice.HOLD: "begin nothing more of these VMs; the rest goes on past them",
    Choice.CRITICAL: "go on with VMs of the first priorities, and hold the rest",
}  # to stop is to cancel


class Command(BaseCommand):
    help = "Start, show, pause, resume, cancel and list runs; choose how one that rests goes on."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        kwargs |= {"epilog": EXIT_STATUS, "formatter_class": argparse.RawDescriptionHelpFormatter}
        return super().create_parser(prog_name, subcommand, **kwargs)

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="the newest runs")
        start = verbs.add_parser("start", help="check readiness and start a run")
        start.add_argument("plan", help="id or name of the plan")
        start.add_argument("kind", choices=[kind.value for kind in building.STARTABLE])
        start.add_argument("--yes", action="store_true", help="do not ask for the phrase; accept warnings")
        start.add_argument("--wait", action="store_true", help="stay until the run rests")
        start.add_argument("--reason", default="")
        start.add_argument(
            "--discard-reason",
            default="",
            help="of a reprotect, where something is not saved first: why what the returned site wrote may be lost",
        )
        start.add_argument(
            "--deviation",
            default="",
            help="of a reprotect, where the returned site is fenced less than the plan wants: why it goes on",
        )
        start.add_argument(
            "--salvage",
            choices=[way.value for way in SalvageWay],
            help="of a reprotect, what becomes of that for all images (default: export, where the site names a "
            "directory for it): to a file, a copy under a new name, or waived",
        )
        start.add_argument(
            "--salvage-of", action="append", default=[], metavar="POOL/IMAGE=WAY", help="another way for one image"
        )
        actor_argument(start)
        back = verbs.add_parser("way-back", help="take a cancelled run back, as far as that is safe")
        back.add_argument("run", type=int)
        back.add_argument("--yes", action="store_true", help="do not ask for the phrase")
        back.add_argument("--wait", action="store_true", help="stay until the run rests")
        actor_argument(back)
        show = verbs.add_parser("show", help="where a run stands")
        show.add_argument("run", type=int)
        show.add_argument("--json", action="store_true", help="the same as the API gives")
        for verb, says in (("pause", "begin nothing new"), ("resume", "go on"), ("cancel", "end it")):
            parsed = verbs.add_parser(verb, help=says)
            parsed.add_argument("run", type=int)
            parsed.add_argument("--reason", default="")
            actor_argument(parsed)
        for choice, says in CHOICES.items():
            parsed = verbs.add_parser(choice.value, help=f"of a paused run: {says}")
            parsed.add_argument("run", type=int)
            if choice is Choice.CRITICAL:
                parsed.add_argument("--up-to", type=int, required=True, metavar="PRIORITY", help="1 to this one")
            else:
                parsed.add_argument("vms", nargs="+", metavar="VM", help="names")
            parsed.add_argument("--look", action="store_true", help="only say what would follow from it")
            parsed.add_argument("--reason", default="")
            actor_argument(parsed)

    def handle(self, *args: Any, **options: Any) -> None:
        verb = options["verb"].replace("-", "_")
        told(lambda: int(getattr(self, verb)(options)))

    def list(self, options: dict[str, Any]) -> int:
        for run in models.Run.objects.select_related("plan", "source_site", "target_site")[:30]:
            self.stdout.write(
                f"{run.pk:5} {run.created_at:%Y-%m-%d %H:%M} {run.kind:17} {run.plan.name:25} "
                f"{run.source_site.slug} to {run.target_site.slug}  {run.state}"
            )
        return DONE

    def start(self, options: dict[str, Any]) -> int:
        plan, kind = find_plan(options["plan"]), RunKind(options["kind"])
        _, target = building.direction(plan.group, kind)
        run, _ = runs.run_request(
            plan_id=plan.pk,
            kind=kind.value,
            plan_version=plan.version,
            phrase=self.phrase(building.phrase(kind, plan.group, target), options["yes"]),
            reason=options["reason"],
            request_key=f"cli-{uuid.uuid4().hex}",
            accept_warnings=options["yes"],
            discard_reason=options["discard_reason"],
            deviation=options["deviation"],
            salvage=wish_of(plan, options["salvage"], options["salvage_of"]),
            actor=actor_of(options["actor"], plan),
        )
        return self.started(run, wait=options["wait"])

    def way_back(self, options: dict[str, Any]) -> int:
        parent = runs.run_get(options["run"])
        wanted = building.phrase(RunKind.WAY_BACK, parent.group, parent.source_site)
        run, _ = runs.way_back_request(
            run_id=parent.pk,
            phrase=self.phrase(wanted, options["yes"]),
            request_key=f"cli-{uuid.uuid4().hex}",
            actor=actor_of(options["actor"], parent.plan),
        )
        return self.started(run, wait=options["wait"])

    def phrase(self, wanted: str, yes: bool) -> str:
        if yes:
            return wanted
        if not sys.stdin.isatty():
            raise Invalid("Nobody is there to type the phrase. Nothing was started. Add --yes.")
        return input(f"Type this to start: {wanted}\n> ")

    def started(self, run: models.Run, *, wait: bool) -> int:
        self.stdout.write(f"Run {run.pk} was started.")
        return self.wait(run.pk) if wait else DONE

    def wait(self, run_id: int) -> int:
        """Until the run rests; each step's change is a line."""
        said: dict[int, str] = {}
        while True:
            run = runs.run_get(run_id)
            for step in run.steps.select_related("site"):
                if said.get(step.pk, "pending") != step.state:
                    said[step.pk] = step.state
                    self.stdout.write(f"  {step.state:10} {title(step)}. {step.sentence}".rstrip())
            if RunState(run.state) in TERMINAL_RUN or run.state == RunState.PAUSED:
                self.stdout.write(f"Run {run.pk} {run.state}: {run.sentence}")
                return status_of(run)
            self.stdout.flush()
            time.sleep(LOOK_S)

    def show(self, options: dict[str, Any]) -> int:
        run = runs.run_get(options["run"])
        page = RunPage(run)
        if options["json"]:
            self.stdout.write(page.out().model_dump_json(indent=2))
            return status_of(run)
        self.stdout.write(f"Run {run.pk} {run.kind} of {run.plan.name}: {run.state}. {run.sentence}")
        self.stdout.write(page.next_sentence())
        for step in page.steps:
            self.stdout.write(f"  {step.state:10} {title(step)}. {step.sentence}".rstrip())
        if (copies := recopy_out(recopies_of(run, page.steps, page.plan), page.plan)) is not None:
            rate = "unknown" if copies.bytes_per_second is None else f"{copies.bytes_per_second:.0f} bytes/s"
            left = "unknown" if copies.eta_s is None else f"{copies.eta_s:.0f} s"
            self.stdout.write(
                f"Copied anew: {copies.copied_bytes} of {copies.total_bytes or 'unknown'} bytes, rate {rate}, "
                f"time left {left}. {copies.sentence}"
            )
        for line in run.standing:
            self.stdout.write(f"  {line['name']}: {line['sentence']}")
        return status_of(run)

    def pause(self, options: dict[str, Any]) -> int:
        return self.asked(runs.run_pause(**steered(options)))

    def resume(self, options: dict[str, Any]) -> int:
        return self.asked(runs.run_resume(**steered(options)))

    def cancel(self, options: dict[str, Any]) -> int:
        return self.asked(runs.run_cancel(**steered(options)))

    def retry(self, options: dict[str, Any]) -> int:
        return self.choose(Choice.RETRY, options)

    def hold(self, options: dict[str, Any]) -> int:
        return self.choose(Choice.HOLD, options)

    def critical(self, options: dict[str, Any]) -> int:
        return self.choose(Choice.CRITICAL, options)

    def choose(self, choice: Choice, options: dict[str, Any]) -> int:
        """What follows is said first; with ``--look`` that is all."""
        run = runs.run_get(options["run"])
        wanted: dict[str, Any] = {
            "choice": choice,
            "vms": keys_of(run, options.get("vms", [])),
            "up_to": options.get("up_to"),
        }
        for sentence in choices.run_decision(run_id=run.pk, **wanted).consequences:
            self.stdout.write(f"  {sentence}")
        if options["look"]:
            return DONE
        return self.asked(choices.run_choose(**steered(options), **wanted, version=run.version))

    def asked(self, run: models.Run) -> int:
        self.stdout.write(f"Run {run.pk} is {run.state}. {RunPage(run).next_sentence()}")
        return DONE


def wish_of(plan: RecoveryPlan, way: str | None, others: Sequence[str]) -> Wish:
    """Raises Invalid for words that are no image of the plan's sites and a way."""
    images: dict[str, SalvageChoice] = {}
    for words in others:
        name, _, other = words.rpartition("=")
        pool, _, image = name.partition("/")
        row = MirroredImage.objects.filter(pair=plan.group.pair, pool=pool, name=image).first()
        if row is None or other not in tuple(SalvageWay):
            raise Invalid(f"“{words}” is not POOL/IMAGE=WAY with an image that is known. Nothing was started.")
        images[str(row.pk)] = SalvageChoice(SalvageWay(other))
    return Wish(SalvageWay(way) if way else None, images)


def keys_of(run: models.Run, names: Sequence[str]) -> Sequence[str]:
    """Raises Invalid."""
    known = {str(vm["name"]): str(vm["key"]) for vm in run.plan_copy.get("vms", [])}
    if strange := [name for name in names if name not in known]:
        raise Invalid(f"Run {run.pk} has no VM {strange[0]}. It has: {', '.join(known)}. Nothing was changed.")
    return [known[name] for name in names]


def steered(options: dict[str, Any]) -> dict[str, Any]:
    plan = runs.run_get(options["run"]).plan
    return {"run_id": options["run"], "actor": actor_of(options["actor"], plan), "reason": options["reason"]}
