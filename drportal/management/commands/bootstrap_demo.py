"""Tell a fresh portal about a running lab:

people, sites, pair, one plan. Once more after a restart of the lab: new ports and keys.
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from drportal.audit.record import record
from drportal.inventory.discovery import discover
from drportal.inventory.introduce import ACTOR, introduce, introduce_witness
from drportal.inventory.models import Network, SitePair, VirtualMachine
from drportal.lab.control import LabDescription, LabError
from drportal.people.grants import roles_set
from drportal.recovery.models import RecoveryPlan
from drportal.recovery.services.plans import PlanFields, plan_create
from drportal.roles import PEOPLE, Role

PLAN = "web-shop"
PRIORITIES = {"db": 1, "app": 2, "web": 3}


def make_people() -> list[str]:
    """One person a role, user name as the role; names of those that were new."""
    made = []
    with transaction.atomic():
        for role in PEOPLE:
            person, new = User.objects.get_or_create(username=role.value)
            if not new:
                continue
            person.set_password(f"{role.value}-demo")
            person.save()
            record("person.add", role.value, {"roles": [role.value]}, actor=ACTOR)
            roles_set(person=person, roles=[role], actor=ACTOR, reason="the demo’s people")
            made.append(role.value)
    return made


def plan_fields(pair: SitePair) -> PlanFields:
    """The web shop: the VMs web-1, app-1 and db-1 of the first site, production there to production here."""
    vms = VirtualMachine.objects.filter(site=pair.a, name__in=[f"{kind}-1" for kind in PRIORITIES], gone_at=None)
    home = Network.objects.get(site=pair.a, name="production-a", gone_at=None)
    peer = Network.objects.get(site=pair.b, name="production-b", gone_at=None)
    return PlanFields(
        name=PLAN,
        group_name=PLAN,
        pair_id=pair.pk,
        home_site=pair.a.slug,
        members=[(vm.pk, PRIORITIES[vm.name.partition("-")[0]]) for vm in vms],
        network_map={str(home.one_id): peer.one_id},
    )


class Command(BaseCommand):
    help = (
        "Introduce the lab in DIR to this portal (only with DRPORTAL_DEMO=1: it makes accounts with known passwords)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", metavar="DIR")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError(
                "This makes accounts with known passwords, so it needs DRPORTAL_DEMO=1. Nothing was changed."
            )
        try:
            lab = LabDescription.read(options["directory"])
        except LabError as error:
            raise CommandError(str(error)) from error
        people = make_people()
        pair = introduce(lab)
        if lab.witness is not None:
            introduce_witness(pair, lab.witness)
        pair = discover(pair.pk)
        self.stdout.write(pair.discovery["sentence"])
        if people:
            self.stdout.write(f"People: {', '.join(people)} (password: the name and -demo)")
        if not RecoveryPlan.objects.filter(name=PLAN).exists():
            plan_create(fields=plan_fields(pair), actor=Role.OPERATOR.value)
            self.stdout.write(f"Plan: {PLAN}")
