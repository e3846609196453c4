"""What travels when a person chooses how a run that rests goes on."""

from __future__ import annotations

from typing import Annotated

from ninja import Field, Schema

from drportal.engine.partial import Choice, Part

Reason = Annotated[str, Field(max_length=2000)]


class ConsoleVm(Schema):
    """A VM of a paused run that is not done. ``trouble``: empty where nothing of it has failed or is unknown."""

    key: str
    name: str
    priority: int
    part: Part
    trouble: str


class Console(Schema):
    """What a person chooses from while a run rests with work left. ``priorities``: up to which VMs may be called
    critical."""

    vms: list[ConsoleVm]
    done: int
    priorities: list[int]


VmKeys = Annotated[list[Annotated[str, Field(max_length=20)]], Field(max_length=10_000)]
UpTo = Annotated[int, Field(ge=1, le=5)]


class ChoiceIn(Schema):
    """``vms``: keys of the console's VMs, of *retry* and *hold*; ``up_to``: of *critical*."""

    choice: Choice
    vms: VmKeys = []
    up_to: UpTo | None = None


class ChosenIn(ChoiceIn):
    """``version``: of the run that was looked at."""

    version: Annotated[int, Field(ge=1, le=2**31 - 1)]
    reason: Reason = ""


class Consequences(Schema):
    """``goes_on``: somebody has something to do then; else the run stays paused."""

    goes_on: bool
    consequences: list[str]
