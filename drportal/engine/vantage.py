"""Is a silent site gone, or has the portal alone lost it? What two places see of it, and what follows.

One viewpoint is never enough: a cut line looks exactly like a dead site to whoever sits at the end of it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass


class Standing(enum.StrEnum):
    """What the two views come to; stable, for programs."""

    ANSWERS = "answers"  # the portal reaches it
    SILENT_FOR_BOTH = "silent_for_both"
    PORTAL_ALONE = "portal_alone"  # the other site gets an answer where the portal gets none
    GREETS_THE_PORTAL = "greets_the_portal"  # something there speaks to the portal, which cannot get in
    ONE_VIEW = "one_view"  # the other site could not be asked


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
class Vantage:
    standing: Standing
    sentence: str

    @property
    def is_alive(self) -> bool:
        """Somebody saw the site live although the portal does not: it may run its VMs, and nothing may be forced."""
        return self.standing in (Standing.PORTAL_ALONE, Standing.GREETS_THE_PORTAL)


def vantage(
    site: str,
    other: str,
    portal_reaches: bool | None,
    views: Sequence[View] | None,
    portal_views: Sequence[View] = (),
) -> Vantage:
    """``site`` is the silent one, ``other`` the one that was asked about it. ``portal_reaches``: its SSH, None unknown.

    ``views`` None: the other site could not be asked. ``portal_views``: the same addresses as the portal sees them.
    """
    if portal_reaches:
        return Vantage(Standing.ANSWERS, f"The portal reaches {site}.")
    speaking = [view for view in views or () if view.alive]
    if speaking:
        return Vantage(
            Standing.PORTAL_ALONE,
            f"{site} is not gone: {other} gets an answer from its {_where(speaking)}. The portal alone has lost it.",
        )
    if here := [view for view in portal_views if view.alive]:
        return Vantage(
            Standing.GREETS_THE_PORTAL,
            f"{site} is not gone: the portal cannot get in there, and gets an answer from its {_where(here)}.",
        )
    if views is None:
        return Vantage(
            Standing.ONE_VIEW,
            f"Only the portal's view is known. {other} could not be asked what it sees, so {site} may be alive "
            "behind a cut line.",
        )
    listening = [view.what for view in views if view.listens]
    if listening:
        return Vantage(
            Standing.SILENT_FOR_BOTH,
            f"{other} sees connections to {site} accepted ({', '.join(listening)}), and nothing speaks there: "
            "its hosts may be up and hang. Make sure that they are off.",
        )
    return Vantage(Standing.SILENT_FOR_BOTH, f"{other} gets no answer from {site} either.")


def _where(views: Sequence[View]) -> str:
    return ", ".join(f"{view.what} at {view.address}" for view in views)
