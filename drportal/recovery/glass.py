"""A run that one person began alone: what it locks, and until when everybody hears of it."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from drportal.audit.record import record
from drportal.engine.states import TERMINAL_RUN
from drportal.errors import Conflict, Forbidden
from drportal.events import publish
from drportal.people.rights import people_who_may
from drportal.recovery.models import Approval, GlassNotice, ProtectionGroup, Run, Voice
from drportal.roles import Permission


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


def tell(approval: Approval, actor: User) -> list[str]:
    """Within the transaction: a notice to everybody who might have said yes, or has to review it. Their names."""
    plan = approval.run.plan
    people = {
        person.pk: person
        for permission in (Permission.APPROVE, Permission.REVIEW)
        for person in people_who_may(permission, plan)
        if person.pk != actor.pk
    }
    told = sorted(people.values(), key=lambda person: person.username)
    GlassNotice.objects.bulk_create(
        [GlassNotice(approval=approval, person=person, name=person.username) for person in told]
    )
    return [person.username for person in told]


def notices_of(run: Run) -> list[GlassNotice]:
    return list(GlassNotice.objects.filter(approval__run=run).order_by("name"))


def glass_seen(*, run_id: int, user: User, by_token: bool) -> None:
    """Raises Conflict where nothing is told to this person, Forbidden for a token: a program has seen nothing."""
    with transaction.atomic():
        mine = GlassNotice.objects.filter(approval__run=run_id, person=user)
        if not mine.exists():
            raise Conflict("Nothing was told to you about this run. Nothing was changed.", code="not_told")
        if by_token:
            raise Forbidden("A token sees nothing. Nothing was changed. Sign in.", code="token_cannot_approve")
        if mine.filter(seen_at=None).update(seen_at=timezone.now()):
            # As an act of the review: who has only looked at what was done may still accept it.
            record("review.glass_seen", f"run {run_id}", {}, actor=user.username, run_id=run_id)
            publish("overview")


def alone(run: Run) -> str:
    """Who, what and why."""
    voice = Voice.objects.filter(approval__run=run, word=Voice.Word.GLASS).order_by("pk").first()
    said = f"{voice.name} alone, at {voice.at:%F %T} UTC: {voice.text}" if voice else "one person alone"
    return f"Run {run.pk}, a disaster failover of {run.plan.name}, was begun by {said}."
