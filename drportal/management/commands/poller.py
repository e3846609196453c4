"""The process that watches the sites. Start as many as you like: one leads, the others wait."""

from __future__ import annotations

import asyncio
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from drportal.audit.policy import policy_noted
from drportal.inventory.memory import keep_small
from drportal.inventory.polling import Poller
from drportal.watch.beside import Watches


async def poll(interval_s: float | None) -> None:
    poller = Poller(interval_s, Watches())
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, poller.stopping.set)
    await poller.run()


class Command(BaseCommand):
    help = "Watch all pairs of sites until stopped."
    # They load all of the API, which this process never serves (20 MB); web and worker make them.
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--interval", type=float, help="seconds between two looks (default: DRPORTAL_POLL_INTERVAL)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        keep_small()
        policy_noted("poller")
        asyncio.run(poll(options["interval"]))
