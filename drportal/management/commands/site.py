"""``manage.py site``: the site program, installed at a site as the forced command of two keys.

Exit status: 0 done; 1 refused or failed (the sentence says what was not done).
"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from drportal.errors import PortalError
from drportal.inventory.installed import pools_sentence, skew_sentence
from drportal.inventory.models import Site
from drportal.inventory.services import site_get
from drportal.inventory.site_program import (
    FORCE_PROMOTE,
    Wishes,
    least_caps,
    program_install,
    program_show,
    program_uninstall,
    program_upgrade,
)
from drportal.recovery.terminal import actor_argument, actor_of
from drportal.roles import Permission
from drportal.site_program.assemble import program_text


class Command(BaseCommand):
    help = "Install, upgrade, uninstall or show the site program at a site, or print it (docs/site-program.md)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("do", choices=("caps", "install", "upgrade", "uninstall", "show", "program"))
        parser.add_argument(
            "site", nargs="?", default="", help="the site's short name, as in the address of its page; not for program"
        )
        wishes = parser.add_argument_group("of caps and install; what is not given stays as it is installed")
        wishes.add_argument("--read-user", metavar="NAME", help="cephx user of the key that observes")
        wishes.add_argument("--act-user", metavar="NAME", help="cephx user of the key that acts")
        wishes.add_argument(
            "--force-promote",
            choices=FORCE_PROMOTE,
            help="approved: by the portal's approval; deposited: the site's people have to deposit it too; refused",
        )
        wishes.add_argument("--without-ceph", action="store_true", help="install although Ceph does not answer now")
        actor_argument(parser)  # type: ignore[arg-type]

    def handle(self, *args: Any, **options: Any) -> None:
        slug = options["site"]
        wishes = Wishes(
            options["read_user"], options["act_user"], options["force_promote"], without_ceph=options["without_ceph"]
        )
        try:
            match options["do"]:
                case "program":
                    self.stdout.write(program_text(), ending="")
                case "caps":
                    site = site_get(slug)
                    self.stdout.write(least_caps(site, wishes.settled(site)))
                case "install":
                    self._tell(program_install(slug=slug, actor=_actor(options), wishes=wishes))
                case "upgrade":
                    self._tell(program_upgrade(slug=slug, actor=_actor(options)))
                case "uninstall":
                    there = program_uninstall(slug=slug, actor=_actor(options))
                    self.stdout.write(
                        f"Taken out. {there.receipts} receipts stay in {there.state}; the portal sends the program "
                        "from now on."
                    )
                case _:
                    site, hello = program_show(slug=slug)
                    self._tell(site)
                    self.stdout.write(f"Python {hello.raw.get('python')}, Ceph {hello.ceph}, engine {hello.engine}")
        except PortalError as error:
            raise CommandError(error.detail) from error

    def _tell(self, site: Site) -> None:
        there = site.program
        self.stdout.write(
            f"{site.name}: version {there['version']} (SHA-256 {there['sha256'][:16]}…) in {there.get('path')}, "
            f"receipts in {there.get('state')}"
        )
        self.stdout.write(skew_sentence(site) or "It is the one that belongs to this portal.")
        if sentence := pools_sentence(site):
            self.stdout.write(sentence)
        options = there.get("options")
        if options is None:
            return  # it was installed by hand
        users = [f"{rights} as client.{options[f'{rights}_user'] or 'admin'}" for rights in ("read", "act")]
        self.stdout.write(f"Keys: {', '.join(users)}; force-promote: {options['force_promote']}")
        self.stdout.write(f"\nThe least that their Ceph users need:\n{least_caps(site, options)}")


def _actor(options: dict[str, Any]) -> str:
    return actor_of(options["actor"], site_get(options["site"]), Permission.SITES)
