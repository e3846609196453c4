"""Hypothesis drives both sites and three people through whole histories: planned and forced runs, approvals and a
broken glass, sites that die and return with their VMs running, the way home, and executors that die around every act.

``people.py`` judges each act by what only the test knows. What it finds when a guard is taken out of the product:
``test_people_seeded.py``.
"""

from __future__ import annotations

import datetime as dt

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from drportal.engine.facts import Mode, Side
from drportal.engine.plans import RunKind
from drportal.engine.steps import StepKind
from tests.engine.lost_model import LostWorld
from tests.engine.model import PRIMARY
from tests.engine.people import Ask, Harm, ModelRun, Office, Person

STEPS_AT_LEAST = 2_000
sides = st.sampled_from(list(Side))
deaths = st.sampled_from(["", "", "before", "after"])
names = st.sampled_from(["olga", "anna", "mona"])
misfortunes = st.tuples(  # at which of a history's moments, and what
    st.integers(0, 4),
    st.sampled_from(["", "returns", "returns running", "late", "roles", "plan", "command", "by hand", "started"]),
)
taken: list[str] = []  # steps of the machine in this process


class ThreePeople(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = LostWorld(Mode.JOURNAL)
        self.office = Office(self.world)
        self.people = {
            "olga": Person(1, {"operator", "approver"}),  # who may do both, and may not do both for one run
            "anna": Person(2, {"approver"}),
            "mona": Person(3, {"manager"}),
        }

    @initialize(mode=st.sampled_from(list(Mode)))
    def choose(self, mode: Mode) -> None:
        self.world = LostWorld(mode)
        self.office = Office(self.world)
        self.settle()

    def settle(self, rounds: int = 12) -> None:
        for _ in range(rounds):
            for side in Side:
                self.world.daemon_works(side)
        for side in Side:
            if self.world.up[side]:
                self.world.mirror_snapshot(side)
        for _ in range(4):
            for side in Side:
                self.world.daemon_works(side)

    # --- the sites

    @rule(side=sides)
    def write(self, side: Side) -> None:
        self.world.write(side)

    @rule(side=sides)
    def daemon_works(self, side: Side) -> None:
        self.world.daemon_works(side)

    @rule()
    def all_settles(self) -> None:
        self.settle()

    @rule(side=sides)
    def site_dies(self, side: Side) -> None:
        if self.world.up[side.other]:
            self.world.dies(side)

    @rule(side=sides, vm_runs=st.booleans())
    def site_returns(self, side: Side, vm_runs: bool) -> None:
        if not self.world.up[side]:
            self.world.returns(side, vm_runs=vm_runs)

    @rule(side=sides)
    def hand_demotes(self, side: Side) -> None:
        if self.world.up[side] and not self.world.sides[side].vm_running:
            self.world.demote(side)

    @rule(side=sides)
    def hand_powers_off(self, side: Side) -> None:
        self.world.sides[side].vm_running = False

    @rule(side=sides)
    def hand_starts(self, side: Side) -> None:
        """Somebody at a site's own page, who does not know of the other."""
        copy, other = self.world.sides[side], self.world.sides[side.other]
        if self.world.up[side] and copy.role == PRIMARY and not other.vm_running:
            copy.vm_running = True

    # --- the people

    @rule(source=sides)
    def planned_is_asked_for(self, source: Side) -> None:
        if run := self.office.request(RunKind.PLANNED_FAILOVER, source):
            self.office.begin(run)

    @rule(source=sides, salvage=st.sampled_from(["", "saved", "waived"]))
    def reprotect_is_asked_for(self, source: Side, salvage: str) -> None:
        if run := self.office.request(RunKind.REPROTECT, source, salvage):
            self.office.begin(run)

    @rule(name=names, source=sides)
    def disaster_is_asked_for(self, name: str, source: Side) -> None:
        if self.world.up[source.other]:
            self.office.ask(self.people[name], source)

    def open_ask(self) -> Ask | None:
        return self.office.asks[-1] if self.office.asks else None

    @rule(name=names)
    def somebody_says_yes(self, name: str) -> None:
        if ask := self.open_ask():
            self.office.yes(ask, self.people[name])

    @rule(name=names)
    def somebody_breaks_the_glass(self, name: str) -> None:
        if ask := self.open_ask():
            self.office.break_glass(ask, self.people[name])

    @rule()
    def a_manager_has_looked(self) -> None:
        self.office.locked = False

    @rule(name=names, role=st.sampled_from(["operator", "approver"]), has=st.booleans())
    def roles_change(self, name: str, role: str, has: bool) -> None:
        (self.people[name].roles.add if has else self.people[name].roles.discard)(role)

    @rule()
    def the_plan_changes(self) -> None:
        self.office.plan_version += 1

    @rule(minutes=st.sampled_from([1, 16]))
    def time_passes(self, minutes: int) -> None:
        self.world.now += dt.timedelta(minutes=minutes)

    @rule()
    def a_command_changes(self) -> None:
        """The site's settings: what would be sent is not what was shown."""
        if ask := self.open_ask():
            ask.commands = ("rbd mirror image promote --force one/another",)

    @rule()
    def somebody_cancels(self) -> None:
        self.office.cancel()

    @rule(paused=st.booleans())
    def somebody_pauses_or_resumes(self, paused: bool) -> None:
        self.office.pause(paused=paused)

    @rule(source=sides)
    def fence_is_asked_for(self, source: Side) -> None:
        if run := self.office.request(RunKind.FENCE, source, "nothing is discarded"):
            self.office.begin(run)

    # --- executors

    def waiting(self) -> ModelRun | None:
        run = self.office.active
        return run if run and not run.begun and self.world.up[run.source.other] else None

    @rule()
    def an_executor_begins(self) -> None:
        if run := self.waiting():
            self.office.begin(run)

    @precondition(lambda self: len(self.office.asks) > 1)
    @rule(which=st.integers(0, 3))
    def a_yes_to_something_else_is_offered(self, which: int) -> None:
        run = self.waiting()
        if run and run.kind is RunKind.DISASTER_FAILOVER:
            self.office.begin(run, stolen=self.office.asks[which % len(self.office.asks)])

    @rule(dies=deaths)
    def an_executor_goes_on(self, dies: str) -> None:
        self.office.advance(dies=dies)

    # --- whole histories, so that long ones are common

    @rule(dies=st.lists(deaths, min_size=8, max_size=8))
    def a_run_goes_to_its_end(self, dies: list[str]) -> None:
        run = self.office.active
        for death in dies:
            if run is None or run.over:
                return
            self.office.advance(dies=death)
            self.settle(4)

    @rule(
        dies_first=st.booleans(), asks=st.sampled_from(["olga", "olga", "anna"]),
        says=st.sampled_from(["anna", "anna", "olga", "mona"]), alone=st.sampled_from([False, False, True]),
        stolen=st.sampled_from([False, False, True]), misfortune=misfortunes,
        deaths=st.lists(deaths, min_size=6, max_size=6),
    )  # fmt: skip
    def a_disaster(
        self,
        dies_first: bool,
        asks: str,
        says: str,
        alone: bool,
        stolen: bool,
        misfortune: tuple[int, str],
        deaths: list[str],
    ) -> None:
        """From the request to the running VM, with what may happen at any of its moments."""
        source = self.world.chosen
        if not self.calm():
            return
        if dies_first:
            self.world.dies(source)
        earlier = self.office.ask(self.people["olga"], source) if stolen else None
        if earlier is not None and earlier.ask is not None:  # given, and never used: the run was cancelled
            self.office.yes(earlier.ask, self.people["anna"])
            self.office.cancel()
        run = self.office.ask(self.people[asks], source)
        if run is None or run.ask is None:
            return
        self.befalls(0, misfortune, run)
        self.office.break_glass(run.ask, self.people[asks]) if alone else self.office.yes(run.ask, self.people[says])
        self.befalls(1, misfortune, run)
        self.office.begin(run, stolen=earlier.ask if earlier else None)
        self.office.begin(run)  # another executor, which had looked at the same moment
        self.befalls(2, misfortune, run)
        self.office.advance(dies=deaths[0])
        self.befalls(3, misfortune, run)
        for death in deaths[1:]:
            self.office.advance(dies=death)
            self.befalls(4, misfortune, run)
        self.office.cancel()

    def calm(self) -> bool:
        """The last run is over and looked at, everybody is there, and the VM's own site has its disk."""
        for site in Side:
            if not self.world.up[site]:
                self.world.returns(site, vm_runs=False)
        for _ in range(2):  # a fence, and who gave way to it
            self.office.pause(paused=False)
            self.office.advance()
            self.office.advance()
            self.office.cancel()
        self.office.locked = False
        self.people["olga"].roles |= {"operator", "approver"}
        self.people["anna"].roles |= {"approver"}
        self.settle()
        chosen = self.world.sides[self.world.chosen]
        return self.office.active is None and chosen.role == PRIMARY

    @rule(
        works=st.integers(0, 4), daemon_dies=st.booleans(), deaths=st.lists(deaths, min_size=8, max_size=8),
        misfortune=misfortunes,
    )  # fmt: skip
    def a_planned_move(self, works: int, daemon_dies: bool, deaths: list[str], misfortune: tuple[int, str]) -> None:
        """With a mirror daemon that may die while the demotion is on its way."""
        source = self.world.chosen
        if not self.calm():
            return
        self.world.write(source)
        run = self.office.request(RunKind.PLANNED_FAILOVER, source)
        assert run is not None
        self.office.begin(run)
        for death in deaths:
            before = len(run.done)
            self.office.advance(dies=death)
            if len(run.done) == 2 and before == 1:
                for _ in range(works):
                    self.world.daemon_works(source.other)
                if daemon_dies:
                    self.world.daemon_dies(source.other)
            self.befalls(len(run.done), misfortune, run)

    def befalls(self, moment: int, misfortune: tuple[int, str], run: ModelRun) -> None:
        source, (due, what) = run.source, misfortune
        if moment != due:
            return
        if what in ("returns", "returns running") and not self.world.up[source]:
            self.world.returns(source, vm_runs=what == "returns running")
        elif what == "late":
            self.world.now += dt.timedelta(minutes=16)
        elif what == "roles":
            for person in self.people.values():
                person.roles.discard("approver")
        elif what == "plan":
            self.office.plan_version += 1
        elif what == "command" and run.ask:
            run.ask.commands = ("rbd mirror image promote --force one/another",)
        elif what == "by hand":
            for side in Side:
                self.hand_powers_off(side)
                self.hand_demotes(side)
        elif what == "started":
            copy = self.world.sides[source]
            copy.vm_running = self.world.up[source] and copy.role == PRIMARY

    @rule(source=sides, dies=st.lists(deaths, min_size=6, max_size=6), alone=st.booleans())
    def a_site_is_lost_and_forced(self, source: Side, dies: list[str], alone: bool) -> None:
        """I11: with the one site dead and the copy whole, people bring the VM up at the other."""
        if self.world.chosen is not source or not self.calm():
            return
        copy = self.world.sides[source.other]
        if copy.role == PRIMARY or copy.diverged or copy.torn:
            return
        self.world.dies(source)
        run = self.office.ask(self.people["olga"], source)
        assert run is not None and run.ask is not None
        if alone:
            self.office.break_glass(run.ask, self.people["olga"])
        else:
            self.office.yes(run.ask, self.people["anna"])
        self.office.begin(run)
        for death in [*dies, "", "", "", ""]:
            self.office.advance(dies=death)
        if not run.over or not copy.vm_running:
            raise Harm("I11 the dead site held up what needs nothing of it")

    @rule(
        salvage=st.sampled_from(["saved", "waived", ""]), vm_runs=st.booleans(), wrong_way=st.booleans(),
        misfortune=misfortunes,
    )  # fmt: skip
    def the_lost_site_is_made_whole(
        self, salvage: str, vm_runs: bool, wrong_way: bool, misfortune: tuple[int, str]
    ) -> None:
        lost = self.world.chosen.other
        if not self.calm():
            return
        self.world.returns(lost, vm_runs=vm_runs)
        self.world.write(lost)
        run = self.office.request(RunKind.REPROTECT, lost.other if wrong_way else lost, salvage)
        assert run is not None
        self.office.begin(run)
        for moment in range(4):
            self.befalls(moment, misfortune, run)
            self.office.advance()
        for _ in range(6):
            self.office.advance()
            self.settle(3)
        self.office.cancel()

    @rule(
        pauses=st.booleans(), comes=st.sampled_from(["back", "back running"]), again=st.booleans(),
        first=st.lists(deaths, max_size=2), deaths=st.lists(deaths, min_size=4, max_size=4),
    )  # fmt: skip
    def the_lost_site_is_back_in_the_middle(
        self, pauses: bool, comes: str, again: bool, first: list[str], deaths: list[str]
    ) -> None:
        """Somebody fences it while the disaster failover rests, or tries to while it does not. ``again``: that comes to
        nothing, and the site falls silent once more."""
        source = self.world.chosen
        if not self.calm():
            return
        self.world.dies(source)
        run = self.office.ask(self.people["olga"], source)
        assert run is not None and run.ask is not None
        self.office.yes(run.ask, self.people["anna"])
        self.office.begin(run)
        for death in first:
            self.office.advance(dies=death)
        if pauses:
            self.office.pause()
        self.world.returns(source, vm_runs=comes == "back running")
        self.fence_is_asked_for(source)
        for death in deaths:
            self.office.advance(dies=death)
            self.office.advance(run)  # its own executor, if anybody drives it
        if again:
            self.office.cancel()
            self.world.dies(source)
        self.office.pause(paused=False)
        for death in [*deaths, ""]:
            self.office.advance(dies=death)

    @invariant()
    def one_run_at_a_time(self) -> None:
        taken.append("")
        if sum(not run.over and not run.stands_aside for run in self.office.runs) > 1:
            raise Harm("I12 two runs of one group")
        if any(run.stands_aside and not run.over and not run.paused for run in self.office.runs):
            raise Harm("I12 who stands aside can be driven")

    @invariant()
    def nothing_is_in_the_trail_out_of_order(self) -> None:
        """What became of an act stands before the next one begins. Only a run that gives way may leave one in doubt
        meanwhile: it was sent where the fence sends nothing, and is looked at when the run goes on."""
        begun: dict[int, StepKind] = {}
        for what, run, kind in self.office.trail:
            if what == "end":
                if begun.pop(run, None) is not kind:
                    raise Harm("I8 an outcome without its act")
                continue
            for other in begun:
                goes_first = self.office.runs[other - 1].behind
                if goes_first is None or goes_first.number != run:
                    raise Harm("I8 an act without its outcome before the next")
            begun[run] = kind


FOUND = settings(max_examples=70, stateful_step_count=40, deadline=None)


def test_three_people_and_two_sites_come_to_no_harm() -> None:
    taken.clear()
    run_state_machine_as_test(ThreePeople, settings=FOUND)  # type: ignore[no-untyped-call]
    assert len(taken) >= STEPS_AT_LEAST, f"only {len(taken)} steps"
