"""What the commands share: who acts, how a refusal is told, what the exit status means."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import NoReturn

from django.contrib.auth.models import User
from django.core.management.base import CommandParser
from django.db.models import Model

from drportal.engine.states import RunState
from drportal.errors import Forbidden, PortalError
from drportal.people.rights import may, who_could_give
from drportal.recovery.models import Run
from drportal.roles import SAYS, Permission

DONE, FAILED, USAGE, WAITS, NOT_READY = 0, 1, 2, 3, 4
EXIT_STATUS = """
exit status: 0 succeeded; 1 failed, aborted or refused; 2 wrong usage; 3 waits for a person; 4 not ready
"""


def actor_argument(parser: CommandParser) -> None:
    parser.add_argument(
        "--as", dest="actor", metavar="USER", help="who acts, for the trail (default: cli:<your login>)"
    )


def actor_of(given: str | None, thing: Model | None, permission: Permission = Permission.RUN) -> str:
    """Whoever may run this command may act; the trail keeps the name of the login. In the name of somebody with an
    account only what that person may do with the thing (None: everywhere). Raises Forbidden.
    """
    login = f"cli:{getpass.getuser()}"
    named = User.objects.filter(username=given).first() if given else None
    if named is not None and not may(named, permission, thing):
        where = f" at {thing.name}" if thing is not None and hasattr(thing, "name") else ""
        raise Forbidden(
            f"{given} may not do this{where} (“{SAYS[permission]}”). Nothing was changed. {who_could_give(thing)} "
            "Without --as you act in your own name."
        )
    return f"{given} ({login})" if given else login


def status_of(run: Run) -> int:
    """The exit status for a run as it stands."""
    state = RunState(run.state)
    if state in (RunState.SUCCEEDED, RunState.SUCCEEDED_WITH_EXCEPTIONS):
        return DONE
    return FAILED if state in (RunState.FAILED, RunState.ABORTED) else WAITS


def told(work: Callable[[], int]) -> NoReturn:
    """Do it and exit; a refusal goes to standard error in its own words."""
    try:
        sys.exit(work())
    except PortalError as error:
        sys.stderr.write(f"{error.detail}\n")
        findings = error.extra.get("findings")
        for finding in findings if isinstance(findings, list) else []:
            sys.stderr.write(f"  {finding['severity']:5} {finding['subject']}: {finding['sentence']}\n")
        not_ready = error.code in ("not_ready", "warnings", "no_worker")
        sys.exit(NOT_READY if not_ready else USAGE if error.status == 422 else FAILED)
