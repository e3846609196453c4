"""Is a silent site gone, or has the portal alone lost it? What several places see of it, and what follows.

One viewpoint is never enough: a cut line looks exactly like a dead site to whoever sits at the end of it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace


class Standing(enum.StrEnum):
    """What the views come to; stable, for programs."""

    ANSWERS = "answers"  # the portal reaches it
    SILENT_FOR_BOTH = "silent_for_both"
    PORTAL_ALONE = "portal_alone"  # the other site gets an answer where the portal gets none
    SILENT_FOR_ALL = "silent_for_all"  # for a witness too
    A_WITNESS_SEES = "a_witness_sees"  # a third place gets an answer where both others get none
    GREETS_THE_PORTAL = "greets_the_portal"  # something there speaks to the portal, which cannot get in
    ONE_VIEW = "one_view"  # nobody else could be asked


class Contact(enum.StrEnum):
    """What may be said of the site; stable, for programs. Down is only what every place says that could be asked, and
    there were at least two; a silence of one place is no more than that place's."""

    ANSWERS = "answers"
    UNREACHABLE = "unreachable"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class View:
    """One address of the silent site as the other site's host sees it.

    ``alive``: something that runs there spoke (a greeting). ``listens``: a connection was accepted, which a host does
    whose programs hang.
    """

    what: str
    address: str
    alive: bool
    listens: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class WitnessView:
    """What a host at a third place sees. ``views`` None: it could not be asked, and ``trouble`` says why."""

    name: str
    views: Sequence[View] | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Vantage:
    standing: Standing
    contact: Contact
    sentence: str

    @property
    def is_alive(self) -> bool:
        """Somebody saw the site live although the portal does not: it may run its VMs, and nothing may be forced."""
        return self.standing in (Standing.PORTAL_ALONE, Standing.GREETS_THE_PORTAL, Standing.A_WITNESS_SEES)


def vantage(
    site: str,
    other: str,
    portal_reaches: bool | None,
    views: Sequence[View] | None,
    portal_views: Sequence[View] = (),
    witnesses: Sequence[WitnessView] = (),
) -> Vantage:
    """``site`` is the silent one, ``other`` the one that was asked about it. ``portal_reaches``: its SSH, None unknown.

    ``views`` None: the other site could not be asked. ``portal_views``: the same addresses as the portal sees them. A
    witness that could not be asked takes nothing from what the others see: it is said, and no more.
    """
    if portal_reaches:
        return Vantage(Standing.ANSWERS, Contact.ANSWERS, f"The portal reaches {site}.")
    found = _seen_alive(site, other, views, portal_views, witnesses) or _silent(site, other, views, witnesses)
    lost = [f"The witness {one.name} could not be asked: {one.trouble}" for one in witnesses if one.views is None]
    return replace(found, sentence=" ".join([found.sentence, *lost])) if lost else found


def _seen_alive(
    site: str,
    other: str,
    views: Sequence[View] | None,
    portal_views: Sequence[View],
    witnesses: Sequence[WitnessView],
) -> Vantage | None:
    if speaking := [view for view in views or () if view.alive]:
        return Vantage(
            Standing.PORTAL_ALONE,
            Contact.UNREACHABLE,
            f"{site} is not gone: {other} gets an answer from its {_where(speaking)}. The portal alone has lost it.",
        )
    if here := [view for view in portal_views if view.alive]:
        return Vantage(
            Standing.GREETS_THE_PORTAL,
            Contact.UNREACHABLE,
            f"{site} is not gone: the portal cannot get in there, and gets an answer from its {_where(here)}.",
        )
    for witness in witnesses:
        if speaking := [view for view in witness.views or () if view.alive]:
            return Vantage(
                Standing.A_WITNESS_SEES,
                Contact.UNREACHABLE,
                f"{site} is not gone: the witness {witness.name} gets an answer from its {_where(speaking)}. "
                "Lines to it are cut, not the site.",
            )
    return None


def _silent(site: str, other: str, views: Sequence[View] | None, witnesses: Sequence[WitnessView]) -> Vantage:
    asked = [one for one in witnesses if one.views is not None]
    if views is None and not asked:
        return Vantage(
            Standing.ONE_VIEW,
            Contact.UNREACHABLE,
            f"Only the portal's view is known. {other} could not be asked what it sees, so {site} may be alive "
            "behind a cut line.",
        )
    who = [*([other] if views is not None else []), *(f"the witness {one.name}" for one in asked)]
    standing = Standing.SILENT_FOR_ALL if asked else Standing.SILENT_FOR_BOTH
    for name, seen in ((other, views), *((f"The witness {one.name}", one.views) for one in asked)):
        if listening := [view.what for view in seen or () if view.listens]:
            return Vantage(
                standing,
                Contact.UNREACHABLE,
                f"{name} sees connections to {site} accepted ({', '.join(listening)}), and nothing speaks there: "
                "its hosts may be up and hang. Make sure that they are off.",
            )
    missing = f" {other} could not be asked what it sees." if views is None else ""
    nobody = " and ".join(who)
    verb = "gets" if len(who) == 1 else "get"
    return Vantage(
        standing, Contact.DOWN, f"{nobody[0].upper()}{nobody[1:]} {verb} no answer from {site} either.{missing}"
    )


def _where(views: Sequence[View]) -> str:
    return ", ".join(f"{view.what} at {view.address}" for view in views)
