"""Local accounts from the command line: the first administrator has to come from somewhere."""

from __future__ import annotations

import getpass
import os
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from drportal.audit.record import record
from drportal.errors import PortalError
from drportal.people.factors import factors_of, factors_remove_all, name_of
from drportal.people.identities import account_link, is_of_provider
from drportal.people.services import roles_of, token_create, token_delete, why_no_name
from drportal.people.sessions import sessions_end_all
from drportal.roles import Permission, Role


def ask_password() -> str:
    """From DRPORTAL_PERSON_PASSWORD (for scripts), else typed twice."""
    given = os.environ.get("DRPORTAL_PERSON_PASSWORD")
    if given:
        return given
    typed = getpass.getpass("Password: ")
    if typed != getpass.getpass("Again: "):
        raise CommandError("The two passwords differ. Nothing was changed.")
    return typed


HELP = """add: a person with a password, or with --role service-account a program's account without one. roles: give
other roles. password: set another. close: the account opens nothing any more. token: print a new token of a service
account (--name, --days, --scope), or with --withdraw take one back. factors: the second factors of a person; with
--remove all of them go, because they are lost, and the person's sessions end. link: this is the account of --subject at
the identity provider from now on, and its password opens nothing any more."""


class Command(BaseCommand):
    help = HELP

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["add", "roles", "password", "close", "token", "factors", "link"])
        parser.add_argument("username")
        parser.add_argument("--role", action="append", choices=[role.value for role in Role], default=[])
        parser.add_argument("--name", help="what the token is for")
        parser.add_argument("--days", type=int, default=90, help="until the token ends")
        parser.add_argument("--scope", action="append", choices=[one.value for one in Permission], default=[])
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
        if action in {"token", "factors", "link"}:
            assert known is not None
            {"token": self.token, "factors": self.factors, "link": self.link}[action](known, options, actor)
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
            person.is_active = action != "close"
            person.save()
            if action in {"add", "roles"}:
                person.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
            facts = {"roles": {"before": before, "after": roles}} if action in {"add", "roles"} else {}
            record(f"person.{action}", username, facts, actor=actor)
        self.stdout.write(f"{username}: {action} done, roles: {', '.join(roles) or 'as before'}")

    def token(self, account: User, options: dict[str, Any], actor: str) -> None:
        """People make their own on their account page: nobody else should ever have held one of theirs."""
        if roles_of(account) != [Role.SERVICE]:
            raise CommandError(f"{account.username} is a person and makes tokens on the page Account. None was made.")
        try:
            if options["withdraw"] is not None:
                token_delete(account, options["withdraw"], actor)
                self.stdout.write(f"token {options['withdraw']} of {account.username} opens nothing any more")
                return
            if not options["name"] or not 1 <= options["days"] <= 366:
                raise CommandError("--name says what it is for, --days is 1 to 366. No token was made.")
            scope = [Permission(word) for word in options["scope"]] or None
            made, text = token_create(account, options["name"], options["days"], scope, actor)
        except PortalError as error:
            raise CommandError(str(error)) from None
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

    def link(self, person: User, options: dict[str, Any], actor: str) -> None:
        if not options["subject"]:
            raise CommandError("--subject says who it is at the identity provider. Nothing was changed.")
        try:
            account_link(person, options["subject"], actor)
        except PortalError as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{person.username} signs in at the identity provider from now on")


def set_password(person: User) -> None:
    password = ask_password()
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise CommandError(" ".join(error.messages) + " Nothing was changed.") from error
    person.set_password(password)


def check_roles(action: str, before: list[str], roles: list[str]) -> None:
    """A service account is one from its beginning to its end, and nothing else: a program must not become a person."""
    if Role.SERVICE in roles and len(roles) > 1:
        raise CommandError("A service account holds no other role. Nothing was changed.")
    if action == "roles" and before and (Role.SERVICE in before) != (Role.SERVICE in roles):
        raise CommandError("A person cannot become a service account, nor the other way. Add another account.")
    if action == "password" and Role.SERVICE in before:
        raise CommandError("A service account has no password. Nothing was changed. Make a token for it.")
