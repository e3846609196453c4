"""Local accounts from the command line: the first administrator has to come from somewhere."""

from __future__ import annotations

import datetime as dt
import getpass
import os
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from drportal.audit.record import record
from drportal.errors import PortalError
from drportal.inventory.models import SitePair
from drportal.management.commands.plan import find_plan
from drportal.people.factors import factors_of, factors_remove_all, name_of
from drportal.people.grants import grant_give, grant_take, refuse_the_last, roles_set, where_of
from drportal.people.identities import account_link, is_of_provider
from drportal.people.models import Grant
from drportal.people.passwords import why_no_password
from drportal.people.services import roles_of, token_create, token_delete, why_no_name
from drportal.people.sessions import sessions_end_all, signed_out
from drportal.recovery.models import RecoveryPlan
from drportal.roles import Permission, Role

T = TypeVar("T")


def ask_password() -> str:
    """From DRPORTAL_PERSON_PASSWORD (for scripts), else typed twice."""
    given = os.environ.get("DRPORTAL_PERSON_PASSWORD")
    if given:
        return given
    typed = getpass.getpass("Password: ")
    if typed != getpass.getpass("Again: "):
        raise CommandError("The two passwords differ. Nothing was changed.")
    return typed


HELP = """add: a person with a password, or with --role service-account a program's account without one. roles: hold
these roles everywhere, and no others everywhere. grant: give one --role more, everywhere or at --pair A/B or for
--plan, with --reason, and with --until if it ends. revoke: take one such grant back (the same --role, --pair, --plan).
password: set another. close: the account opens nothing any more. token: print a new token of a service account
(--name, --days, --scope), or with --withdraw take one back. factors: the second factors of a person; with --remove all
of them go, because they are lost, and the person's sessions end. sign-out: all sessions of the person end, for a
--reason; with --tokens their tokens are withdrawn too. link: this is the account of --subject at the identity
provider from now on, and its password opens nothing any more."""
ACTIONS = ["add", "roles", "grant", "revoke", "password", "close", "token", "factors", "link", "sign-out"]
OF_ONE = {"grant", "revoke", "token", "factors", "link", "sign-out"}  # each a method of the command


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=ACTIONS)
        parser.add_argument("username")
        parser.add_argument("--role", action="append", choices=[role.value for role in Role], default=[])
        parser.add_argument("--name", help="what the token is for")
        parser.add_argument("--days", type=int, default=90, help="until the token ends")
        parser.add_argument("--scope", action="append", choices=[one.value for one in Permission], default=[])
        parser.add_argument("--pair", metavar="A/B", help="the short names of the pair's sites")
        parser.add_argument("--plan", help="id or name of a plan")
        parser.add_argument("--until", type=dt.datetime.fromisoformat, help="such as 2027-03-31T18:00, UTC")
        parser.add_argument("--reason", default="", help="why, for the trail and the page Access")
        parser.add_argument("--tokens", action="store_true", help="withdraw the person's tokens, too")
        parser.add_argument("--remove", action="store_true", help="the second factors are lost")
        parser.add_argument("--subject", help="who it is at the identity provider: the claim sub")
        parser.add_argument("--withdraw", type=int, metavar="ID", help="the token's number")

    def handle(self, *args: Any, **options: Any) -> None:
        action, username, roles = options["action"], options["username"], options["role"]
        known = User.objects.filter(username=username).first()
        if (action == "add") == bool(known):
            raise CommandError(f"{username} {'exists already' if known else 'is not known'}. Nothing was changed.")
        if action == "add" and (why := why_no_name(username)):
            raise CommandError(f"{why} Nothing was changed.")
        before = roles_of(known) if known else []
        actor = f"cli:{getpass.getuser()}"
        if known is not None and action in OF_ONE:
            getattr(self, action.replace("-", "_"))(known, options, actor)
            return
        check_roles(action, before, roles)
        if action == "password" and known and is_of_provider(known):
            raise CommandError(f"{username} signs in at the identity provider. Nothing was changed.")
        with transaction.atomic():
            person = known or User(username=username)
            if action == "add" and Role.SERVICE in roles:
                person.set_unusable_password()
            elif action in {"add", "password"}:
                set_password(person)
            if action == "close":
                told(lambda: refuse_the_last(person.grants.select_related("person")))
            person.is_active = action != "close"
            person.save()
            facts = {"roles": {"before": before, "after": roles}} if action in {"add", "roles"} else {}
            record(f"person.{action}", username, facts, actor=actor)
            if action in {"add", "roles"}:
                wanted = [Role(role) for role in roles]
                told(lambda: roles_set(person=person, roles=wanted, actor=actor, reason=options["reason"]))
        self.stdout.write(f"{username}: {action} done, roles: {', '.join(roles) or 'as before'}")

    def grant(self, account: User, options: dict[str, Any], actor: str) -> None:
        pair, plan = scope_of(options)
        until = options["until"].replace(tzinfo=options["until"].tzinfo or dt.UTC) if options["until"] else None
        given = {"reason": options["reason"], "pair": pair, "plan": plan, "until": until}
        told(lambda: grant_give(person=account, role=one_role(options), actor=actor, **given))
        self.stdout.write(f"{account.username} holds {options['role'][0]} {where_of(pair, plan)}")

    def revoke(self, account: User, options: dict[str, Any], actor: str) -> None:
        pair, plan = scope_of(options)
        found = Grant.objects.filter(person=account, role=one_role(options), pair=pair, plan=plan).first()
        if found is None:
            raise CommandError(f"{account.username} holds no such role {where_of(pair, plan)}. Nothing was taken.")
        told(lambda: grant_take(grant_id=found.pk, actor=actor, reason=options["reason"]))
        self.stdout.write(f"{account.username} no longer holds {options['role'][0]} {where_of(pair, plan)}")

    def token(self, account: User, options: dict[str, Any], actor: str) -> None:
        """People make their own on their account page: nobody else should ever have held one of theirs."""
        if roles_of(account) != [Role.SERVICE]:
            raise CommandError(f"{account.username} is a person and makes tokens on the page Account. None was made.")
        if options["withdraw"] is not None:
            told(lambda: token_delete(account, options["withdraw"], actor))
            self.stdout.write(f"token {options['withdraw']} of {account.username} opens nothing any more")
            return
        if not options["name"] or not 1 <= options["days"] <= 366:
            raise CommandError("--name says what it is for, --days is 1 to 366. No token was made.")
        scope = [Permission(word) for word in options["scope"]] or None
        made, text = told(lambda: token_create(account, options["name"], options["days"], scope, actor))
        self.stdout.write(f"token {made.pk} of {account.username}, shown this once, ends {made.expires_at:%Y-%m-%d}:")
        self.stdout.write(text)

    def factors(self, person: User, options: dict[str, Any], actor: str) -> None:
        """Whoever has the lost telephone or key may have a session too."""
        if options["remove"]:
            with transaction.atomic():
                removed = factors_remove_all(person, actor)
                sessions_end_all(person)
            self.stdout.write(f"{person.username}: {removed} second factors removed, all sessions ended")
            return
        for row in factors_of(person):
            self.stdout.write(f"{name_of(row)} ({row.type}), added {row.created_at:%Y-%m-%d}")

    def sign_out(self, person: User, options: dict[str, Any], actor: str) -> None:
        tokens, reason = options["tokens"], options["reason"]
        ended, withdrawn = told(lambda: signed_out(person=person, actor=actor, reason=reason, tokens=tokens))
        self.stdout.write(f"{person.username}: {ended} sessions ended, {withdrawn} tokens withdrawn")

    def link(self, person: User, options: dict[str, Any], actor: str) -> None:
        if not options["subject"]:
            raise CommandError("--subject says who it is at the identity provider. Nothing was changed.")
        try:
            account_link(person, options["subject"], actor)
        except PortalError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{person.username} signs in at the identity provider from now on")


def told(work: Callable[[], T]) -> T:
    """Do it; a refusal is told in its own words."""
    try:
        return work()
    except PortalError as error:
        raise CommandError(str(error)) from None


def one_role(options: dict[str, Any]) -> Role:
    if len(options["role"]) != 1:
        raise CommandError("Say which role with --role, once. Nothing was changed.")
    return Role(options["role"][0])


def scope_of(options: dict[str, Any]) -> tuple[SitePair | None, RecoveryPlan | None]:
    """Where the options say; neither means everywhere."""
    if options["pair"] and options["plan"]:
        raise CommandError("--pair or --plan, not both: a plan is at its pair already. Nothing was changed.")
    if options["plan"]:
        return None, told(lambda: find_plan(options["plan"]))
    if not options["pair"]:
        return None, None
    a, _, b = options["pair"].partition("/")
    pair = SitePair.objects.select_related("a", "b").filter(a__slug__in=[a, b], b__slug__in=[a, b]).first()
    if pair is None:
        raise CommandError(f"There is no pair {options['pair']}. Nothing was changed.")
    return pair, None


def set_password(person: User) -> None:
    password = ask_password()
    if why := why_no_password(password, person):
        raise CommandError(f"{why} Nothing was changed.")
    person.set_password(password)


def check_roles(action: str, before: list[str], roles: list[str]) -> None:
    """A service account is one from its beginning to its end, and nothing else: a program must not become a person."""
    if Role.SERVICE in roles and len(roles) > 1:
        raise CommandError("A service account holds no other role. Nothing was changed.")
    if action == "roles" and before and (Role.SERVICE in before) != (Role.SERVICE in roles):
        raise CommandError("A person cannot become a service account, nor the other way. Add another account.")
    if action == "password" and Role.SERVICE in before:
        raise CommandError("A service account has no password. Nothing was changed. Make a token for it.")
