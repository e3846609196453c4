"""Gaps of pools and their mirroring daemons, and how two pools are made each other's peers. Pure; see ``gaps.py``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drportal.engine.gap_base import Gap, GapCode, GapLevel, Host, Typed, command_words, on_ceph

BOTH_WAYS = "rx-tx"


@dataclass(frozen=True, slots=True)
class PeerFacts:
    uuid: str
    direction: str


@dataclass(frozen=True, slots=True)
class PoolGapFacts:
    """A pool as one site sees it. ``daemon_healthy`` None: not told. ``gone``: it was there, and is not any more."""

    name: str
    mode: str
    peers: tuple[PeerFacts, ...]
    daemon_healthy: bool | None
    gone: bool = False


def pool_gaps(pool: PoolGapFacts, site: str, other: PoolGapFacts | None, other_site: str) -> Iterator[Gap]:
    """``other``: the same pool at the other site, as far as it is known."""
    subject = f"pool {pool.name} at {site}"
    if pool.gone:
        yield Gap(
            GapCode.POOL_GONE,
            GapLevel.UNPROTECTED,
            subject,
            f"{site} says that there is no such pool any more: what was in it is gone from there.",
            "Find out who removed it, and change nothing of the same pool at the other site: that may be all there is.",
            (on_ceph(site, "Only reads: which pools there are.", "ceph", "osd", "pool", "ls", "detail"),),
        )
        return
    if pool.mode == "disabled":
        does = "Lets images of the pool be mirrored; none is by that alone."
        enable = on_ceph(site, does, "rbd", "mirror", "pool", "enable", pool.name, "image")
        yield Gap(
            GapCode.POOL_UNMIRRORED,
            GapLevel.UNPROTECTED,
            subject,
            "The pool is not set up for mirroring here, so no copy can come or go.",
            "Enable it, and make the two sites peers.",
            (enable, *joining(pool, site, other, other_site)),
        )
        return
    if not pool.peers:
        yield Gap(
            GapCode.NO_PEER,
            GapLevel.UNPROTECTED,
            subject,
            "It has no peer.",
            f"Create a token at {other_site} and import it here: that makes each the other's peer, both ways.",
            joining(pool, site, other, other_site),
        )
    elif any(peer.direction != BOTH_WAYS for peer in pool.peers):
        told = ", ".join(peer.direction for peer in pool.peers)
        yield Gap(
            GapCode.PEER_ONE_WAY,
            GapLevel.RISK,
            subject,
            f"Its peer is {told}: after a failover there would be no way back.",
            "Remove the peer at both sites and make them peers anew, both ways. Until that is done nothing is "
            "copied; images in snapshot mode may be copied whole again.",
            joining(pool, site, other, other_site),
        )
    yield from daemon_gap(pool, site)


def joining(pool: PoolGapFacts, site: str, other: PoolGapFacts | None, other_site: str) -> tuple[Typed, ...]:
    """Whatever peers either has are stale: a pool has one, and it is to be made."""
    token = f"{pool.name}.peer-token"
    create = command_words("rbd", "mirror", "pool", "peer", "bootstrap", "create", pool.name)
    take = ("rbd", "mirror", "pool", "peer", "bootstrap", "import", "--direction", BOTH_WAYS, pool.name, token)
    peer_remove = ("rbd", "mirror", "pool", "peer", "remove", pool.name)
    return (
        *(on_ceph(site, "Removes the stale peer.", *peer_remove, peer.uuid) for peer in pool.peers),
        *(
            on_ceph(other_site, "Removes the stale peer.", *peer_remove, peer.uuid)
            for peer in (other.peers if other else ())
        ),
        Typed(
            f"(umask 077; {create} > {command_words(token)})",
            other_site,
            Host.CEPH,
            f"Writes a token to a file. It is a secret: copy the file to {site} (scp), then delete it here.",
        ),
        Typed(
            f"{command_words(*take)} && rm {command_words(token)}",
            site,
            Host.CEPH,
            "Makes each site the other's peer, and deletes the token.",
        ),
    )


def daemon_gap(pool: PoolGapFacts, site: str) -> Iterator[Gap]:
    if pool.daemon_healthy is False and not pool.gone:
        does = "Starts it anew. Images catch up by themselves."
        yield Gap(
            GapCode.DAEMON_DEAD,
            GapLevel.UNPROTECTED,
            f"pool {pool.name} at {site}",
            "No mirroring daemon is heard of: nothing is copied to this site.",
            "Start rbd-mirror on its host, and see that it stays up.",
            (Typed(command_words("systemctl", "restart", "ceph-rbd-mirror.target"), site, Host.MIRROR, does),),
        )
