"""Gates of the way home after a disaster: before anything of a returned site is taken away, the other side must be
seen to hold the copy that counts."""

from __future__ import annotations

import datetime as dt

from drportal.engine.facts import RoleFacts
from drportal.engine.fence import RUNG_WORDS, FenceRung, below
from drportal.engine.gate_base import ROLE_FRESH_S, GateId, GateResult, Reading


def g_peer(
    here: RoleFacts | None,
    there: RoleFacts | None,
    now: dt.datetime,
    *,
    salvage_chosen: bool,
    forced_here: bool = False,
    fresh_s: float = ROLE_FRESH_S,
) -> GateResult:
    """``there``: the side where the group runs. It is the only good copy while this one is made anew, so it has to be
    there, primary, and of the same image. ``here`` may be missing: a re-copy deletes it first.

    ``forced_here``: by the portal's own record it is this copy that an approved forced promotion made primary, and
    nothing has given that back since. Both being primary now says nothing against it: what was written since the
    disaster is here. ``salvage_chosen``: it is recorded whether what is only here is saved first, or why it is not.
    """
    say = Reading(GateId.PEER, now)
    say.facts.update(forced_here=forced_here, salvage_chosen=salvage_chosen)
    if not salvage_chosen:
        return say.not_met(
            "It is not recorded whether what is only here is saved first, or why it may be discarded.",
            "Take nothing away here. Ask for the run again, and say it.",
            hopeless=True,
        )
    if forced_here:
        return say.not_met(
            "The copy here is the one that an approved forced promotion made primary: what was written since is here.",
            "Take nothing away here. It is the other side's copy that is made anew.",
            hopeless=True,
        )
    if here is None or there is None:
        return say.unread("the role " + ("here" if here is None else "at the other side"))
    ages = {"the role here": here.read_at, "the role at the other side": there.read_at}
    if stale := say.stale(ages, fresh_s):
        return stale
    say.facts.update(primary_here=here.primary, primary_there=there.primary, exists_there=there.exists)
    if not there.exists or there.primary is None:
        return say.not_met(
            "The image is missing at the other side, or not mirrored there: what is here may be the only copy.",
            "Take nothing away here. Find out what became of the other one.",
            hopeless=True,
        )
    if there.primary is not True:
        return say.not_met(
            "The other side is not primary, so it is not shown that it has what counts.",
            "Take nothing away here. Look at the image's verdict.",
            hopeless=True,
        )
    if here.exists and here.global_id is not None and here.global_id != there.global_id:
        return say.not_met(
            "The two images have different mirroring ids: they are not copies of each other.",
            "Investigate; do not act on either.",
            hopeless=True,
        )
    return say.met("The other side is primary: its copy is the one that counts.")


def g_fence_returned(reached: FenceRung, wanted: FenceRung, by: str, deviation: str, now: dt.datetime) -> GateResult:
    """Before a returned site's copy is discarded: the rung that the plan wants was reached there, or a named person has
    said why it goes on below it. ``reached``: by a fence before this run, and by this run itself."""
    say = Reading(GateId.FENCE, now)
    say.facts.update(rung=reached.value, rung_wanted=wanted.value)
    lacking = below(reached, wanted, by, deviation)
    if lacking and not deviation:
        return say.not_met(
            f"{lacking} Nothing is discarded.",
            "Cancel this run, fence the site first, then ask for it again; or say then why it goes on without.",
            hopeless=True,
        )
    return say.met(lacking or f"Rung {reached.value} is reached there: {RUNG_WORDS[reached]}.")
