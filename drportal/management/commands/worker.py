"""``manage.py worker``: carries out runs and discoveries. Each process drives one run at a time."""

from __future__ import annotations

import argparse
import ctypes
import logging
import signal
import subprocess
import sys
import time
from importlib import import_module
from types import FrameType
from typing import Any

import django_rq
from django.core.management.base import BaseCommand, CommandParser
from django.db import close_old_connections

from drportal.audit.policy import policy_noted
from drportal.jobs import DEFAULT, RECOVERY, PortalWorker, queue
from drportal.recovery.sweep import LOOK_S, Sweeper
from drportal.watch.schedule import Schedule

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Carry out runs and discoveries. --processes of them run beside each other, each driving one run at a time."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--processes", type=int, default=2, help="runs that can be driven at the same time (default 2)"
        )
        parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["one"]:
            work()
            return
        policy_noted("worker")
        sys.exit(Family(max(1, options["processes"])).keep())


def work() -> None:
    # Loaded once here, not in the fork of every run: that would cost each run, and each rescue of one, a second.
    import_module("drportal.recovery.executor")
    # Discoveries are short, so every process may take one; runs come first.
    queues = [queue(RECOVERY), queue(DEFAULT)]
    PortalWorker(queues, connection=django_rq.get_connection(RECOVERY)).work(
        with_scheduler=False, logging_level="WARNING"
    )


class Family:
    """Keeps the asked number of worker processes alive, and sweeps for runs that nobody drives.

    SIGTERM is passed on: each worker ends after the job it has. If the family's head is killed, its workers and
    their jobs die too.
    """

    def __init__(self, size: int) -> None:
        self.argv = [sys.executable, sys.argv[0], "worker", "--one"]
        self.children: list[subprocess.Popen[bytes]] = []
        self.size, self.ending = size, False
        self.sweeper, self.next_sweep = Sweeper(), 0.0
        self.schedule = Schedule()

    def keep(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        while not self.ending or self.children:
            self.children = [child for child in self.children if child.poll() is None]
            while not self.ending and len(self.children) < self.size:
                self.children.append(subprocess.Popen(self.argv, preexec_fn=die_with_parent))
            self.sweep()
            time.sleep(0.2)
        return 0

    def sweep(self) -> None:
        if self.ending or time.monotonic() < self.next_sweep:
            return
        self.next_sweep = time.monotonic() + LOOK_S
        close_old_connections()
        try:
            self.sweeper.sweep()
        except Exception:  # must outlive a restart of the database; the next round tries again
            logger.exception("the sweep failed; it will be tried again")
        try:
            self.schedule.tick()
        except Exception:
            logger.exception("the schedule failed; it will be tried again")

    def end(self, number: int, frame: FrameType | None) -> None:
        self.ending = True
        for child in self.children:
            child.send_signal(signal.SIGTERM)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
