"""Whatever is done in whatever order: the model never breaks, and the exact tests never call a torn copy whole."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from drportal.lab.embedded import answers
from drportal.lab.embedded.copies import Role
from drportal.lab.embedded.pair import Pair, Refused
from drportal.lab.embedded.timing import Timing
from drportal.lab.embedded.world import World
from tests.lab.conftest import MIB, HandClock

SITES = st.sampled_from(["a", "b"])
BREAKS_AND_MENDS = ["kill_daemon", "hang_daemon", "thaw_daemon", "start_daemon", "fail_site", "restore_site"]
NAMES = st.sampled_from(["one-1", "one-2"])  # journal and snapshot mode


class TwoSites(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.world = World(self.clock, Timing())
        self.world.settled_pair("a", "one-1", 16 * MIB, "journal")
        self.world.settled_pair("a", "one-2", 16 * MIB, "snapshot")
        self.fills = 0

    def _try(self, name: str, site: str, act: str, **how: bool) -> None:
        if self.world.site_up(site):
            try:
                getattr(self.world.pair(name), act)(site, self.clock.now, **how)
            except Refused as refused:
                assert refused.exit_code in (2, 16, 22, 30)

    @rule(seconds=st.sampled_from([0.3, 1.0, 4.0, 9.0, 31.0, 95.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule(name=NAMES, site=SITES)
    def fill(self, name: str, site: str) -> None:
        self.fills += 1
        try:
            self.world.pair(name).fill(site, self.fills, self.clock.now)
        except Refused as refused:
            assert refused.exit_code in (2, 30)

    @rule(name=NAMES, site=SITES)
    def demote(self, name: str, site: str) -> None:
        self._try(name, site, "demote")

    @rule(name=NAMES, site=SITES, force=st.booleans())
    def promote(self, name: str, site: str, force: bool) -> None:
        self._try(name, site, "promote", force=force)

    @rule(name=NAMES, site=SITES)
    def resync(self, name: str, site: str) -> None:
        self._try(name, site, "resync")

    @rule(name=NAMES, site=SITES, on=st.booleans())
    def use(self, name: str, site: str, on: bool) -> None:
        pair = self.world.pair(name)
        if on and site in pair.copies:
            pair.attach(site, "vm-1", "127.0.0.1", self.clock.now)
        else:
            pair.detach(site, "vm-1", self.clock.now)

    @rule(
        site=SITES,
        what=st.sampled_from(
            ["kill_daemon", "hang_daemon", "thaw_daemon", "start_daemon", "fail_site", "restore_site"]
        ),
    )
    def break_or_mend(self, site: str, what: str) -> None:
        getattr(self.world, what)(site)

    @rule(site=SITES, rate=st.sampled_from([None, 1.0, 60.0]))
    def slow_down(self, site: str, rate: float | None) -> None:
        self.world.limit_replay(site, rate)

    @invariant()
    def every_answer_can_be_given(self) -> None:
        for site in "ab":
            answers.pool_status(self.world, site, verbose=True)
            answers.ls(self.world, site)
            for pair in self.world.pairs_at(site):
                answers.info(self.world, pair, site)
                answers.snaps(self.world, pair, site)
                answers.watchers(self.world, pair, site)

    @invariant()
    def a_copy_that_passes_the_journal_test_is_whole(self) -> None:
        pair = self.world.pair("one-1")
        for site, other in (("a", "b"), ("b", "a")):
            if not handed_over(pair, site, other):
                continue
            status = answers.journal(self.world, pair, site, self.clock.now)
            own, peer = (client["commit_position"]["object_positions"][:1] for client in status["registered_clients"])
            if own and own == peer:
                assert pair.content(site, self.clock.now) == pair.content(other, self.clock.now)

    @invariant()
    def a_copy_that_passes_the_snapshot_test_is_whole(self) -> None:
        pair = self.world.pair("one-2")
        for site, other in (("a", "b"), ("b", "a")):
            if not handed_over(pair, site, other):
                continue
            theirs, ours = pair.copies[site].last_snap, pair.copies[other].last_snap
            if (
                theirs
                and ours
                and theirs.demoted
                and theirs.source_id is None
                and ours.complete
                and ours.source_id == theirs.id
            ):
                assert pair.content(site, self.clock.now) == pair.content(other, self.clock.now)


def handed_over(pair: Pair, source: str, target: str) -> bool:
    """The source's own demotion is the last word on both sides."""
    if source not in pair.copies or target not in pair.copies:
        return False
    ours, theirs = pair.copies[source], pair.copies[target]
    own_end = ours.point is not None and ours.point.log == ours.log.number
    return ours.role is Role.ORPHAN and theirs.role is Role.ORPHAN and own_end and not theirs.syncing


TwoSites.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTwoSites = TwoSites.TestCase
