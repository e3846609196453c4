"""Review of a run that has ended: new, questioned, accepted, by somebody who took no part in it."""

from __future__ import annotations

import datetime as dt
import enum
import re

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet, Subquery
from django.utils import timezone

from drportal.audit.models import AuditEntry
from drportal.audit.record import NO_PERSONS, record
from drportal.engine.states import TERMINAL_RUN
from drportal.errors import Conflict, Forbidden, Invalid
from drportal.events import publish
from drportal.recovery.models import Approval, ReviewAct, Run
from drportal.recovery.services.runs import run_get

DUE_AFTER = dt.timedelta(days=5)
# As ``terminal.actor_of`` writes an actor of the command line: “cli:login” or “name (cli:login)”.
BY_COMMAND = re.compile(r"(?:(?P<name>.*) \()?cli:(?P<login>[^()]*)\)?")


class ReviewState(enum.StrEnum):
    NEW = "new"
    QUESTIONED = "questioned"
    ACCEPTED = "accepted"


QUESTIONED, ANSWERED, ACCEPTED = "questioned", "answered", "accepted"


def reviewable(state: str | None = None, finished_before: dt.datetime | None = None) -> QuerySet[Run]:
    """Runs that began and ended, newest first, each with ``last_verb`` (null: no act yet), ``accepted`` and
    ``alone`` (one person began it alone).

    ``state``: a ReviewState, or "open" for those that are not accepted.
    """
    acts = ReviewAct.objects.filter(run=OuterRef("pk"))
    runs = Run.objects.filter(state__in=[state.value for state in TERMINAL_RUN], started_at__isnull=False)
    if finished_before is not None:
        runs = runs.filter(finished_at__lt=finished_before)
    last = Subquery(acts.order_by("-id").values("verb")[:1])
    alone = Exists(Approval.objects.filter(run=OuterRef("pk"), glass=True))
    rows = runs.annotate(last_verb=last, accepted=Exists(acts.filter(verb=ACCEPTED)), alone=alone).order_by("-pk")
    if state is not None:
        rows = rows.filter(accepted=state == ReviewState.ACCEPTED)
    if state in (ReviewState.NEW, ReviewState.QUESTIONED):
        rows = rows.filter(last_verb__isnull=state == ReviewState.NEW)
    return rows.select_related("plan", "group", "source_site", "target_site")


def overdue() -> QuerySet[Run]:
    return reviewable("open", timezone.now() - DUE_AFTER)


def review_state(last_verb: str | None) -> ReviewState:
    """An answer leaves it questioned: who asked says when that is enough."""
    if last_verb is None:
        return ReviewState.NEW
    return ReviewState.ACCEPTED if last_verb == ACCEPTED else ReviewState.QUESTIONED


def due_at(run: Run) -> dt.datetime | None:
    return run.finished_at + DUE_AFTER if run.finished_at else None


def participants(run: Run) -> list[str]:
    """Everybody whom the trail names with the run, but not those who only reviewed it."""
    acted = AuditEntry.objects.filter(run_id=run.pk).exclude(action__startswith="review.")
    names = set(acted.values_list("actor", flat=True).distinct()) | {run.requested_name}
    return sorted(name for name in names if name and name not in NO_PERSONS)


def took_part(run: Run, name: str) -> bool:
    """Also at the command line, under their login or with ``--as``."""
    return name.strip().casefold() in {one for actor in participants(run) for one in names_of(actor)}


def names_of(actor: str) -> set[str]:
    by_command = BY_COMMAND.fullmatch(actor)
    names = by_command.groupdict("").values() if by_command else [actor]
    return {name.strip().casefold() for name in names if name.strip()}


def why_no_review(run: Run, name: str, last_verb: str | None) -> str:
    """Empty when the person may question or accept the run."""
    if run.state not in TERMINAL_RUN:
        return f"The run is {run.state}; it is reviewed when it has ended."
    if run.started_at is None:
        return "The run never began; there is nothing to review."
    if last_verb == ACCEPTED:
        return "It was accepted already."
    if took_part(run, name):
        return f"{name} took part in this run. Somebody who did not must review it."
    return ""


def review_question(*, run_id: int, actor: str, text: str) -> Run:
    return _review(run_id, actor, QUESTIONED, _said(text))


def review_accept(*, run_id: int, actor: str, text: str) -> Run:
    return _review(run_id, actor, ACCEPTED, text.strip())


def review_answer(*, run_id: int, actor: str, text: str) -> Run:
    """Anybody who may act on runs may answer. Raises Conflict where nothing was asked."""
    said = _said(text)
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_get(run_id).pk)
        if review_state(_last_verb(run)) is not ReviewState.QUESTIONED:
            raise Conflict("Nobody has asked a question about this run. Nothing was kept.", code="not_questioned")
        _keep(run, ANSWERED, actor, said)
    return run_get(run_id)


def _review(run_id: int, actor: str, verb: str, text: str) -> Run:
    """Raises Conflict (not_reviewable), Forbidden (took_part)."""
    try:
        with transaction.atomic():
            run = Run.objects.select_for_update().get(pk=run_get(run_id).pk)
            last = _last_verb(run)
            if why := why_no_review(run, actor, last):
                own = run.state in TERMINAL_RUN and last != ACCEPTED and took_part(run, actor)
                refusal = Forbidden if own else Conflict
                raise refusal(f"{why} Nothing was kept.", code="took_part" if own else "not_reviewable")
            _keep(run, verb, actor, text)
    except IntegrityError:
        raise Conflict("It was accepted already. Nothing was kept.", code="not_reviewable") from None
    return run_get(run_id)


def _keep(run: Run, verb: str, actor: str, text: str) -> None:
    ReviewAct.objects.create(run=run, verb=verb, by=actor, text=text, at=timezone.now())
    record(f"review.{verb}", f"run {run.pk}: {run.kind}", {"text": text}, actor=actor, run_id=run.pk)
    for topic in (f"run:{run.pk}", "runs"):
        publish(topic, run.version)


def _last_verb(run: Run) -> str | None:
    return run.review_acts.order_by("-id").values_list("verb", flat=True).first()


def _said(text: str) -> str:
    if not text.strip():
        raise Invalid("Say what it is about. Nothing was kept.")
    return text.strip()
