"""A run that one person began alone: what it locks, and until when everybody hears of it."""

from __future__ import annotations

from django.db.models import Q

from drportal.engine.states import TERMINAL_RUN
from drportal.recovery.models import Approval, ProtectionGroup, Run, Voice


def glass_runs() -> list[Run]:
    """Those that no manager has accepted yet; one that never began locks nothing and is none."""
    ended = [state.value for state in TERMINAL_RUN]
    broken = Approval.objects.filter(glass=True).values("run_id")
    alone = Run.objects.filter(pk__in=broken).exclude(Q(started_at__isnull=True) & Q(state__in=ended))
    return list(alone.exclude(review_acts__verb="accepted").select_related("plan"))


def locked_by(group: ProtectionGroup) -> Run | None:
    return next((run for run in glass_runs() if run.group_id == group.pk), None)


def locked_words(run: Run) -> str:
    return f"The plan is locked: run {run.pk} was begun by one person alone, and no manager has accepted it yet."


def alone(run: Run) -> str:
    """Who, what and why."""
    voice = Voice.objects.filter(approval__run=run, word=Voice.Word.GLASS).order_by("pk").first()
    said = f"{voice.name} alone, at {voice.at:%F %T} UTC: {voice.text}" if voice else "one person alone"
    return f"Run {run.pk}, a disaster failover of {run.plan.name}, was begun by {said}."
