"""``python -m tests.bench.trail``: what the chain costs, and what a page of a long trail takes.

The trail is filled with entries such as runs, people and refusals leave. Then, on the full table: pages through the
API; the append rate beside the same rows into the same columns and indexes without lock, hash and trigger, the two
taking turns; and the rate of the verifier. SQLite, then PostgreSQL (a server of its own, with fsync).
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.figures import lined_up
from tests.bench.live import p95, prepare, say
from tests.with_postgres import main as with_postgres

GOAL_PAGE_S, GOAL_APPEND = 0.150, 0.5
ACTIONS = (
    *("step.intent", "step.outcome") * 8, "gate.met", "session.start", "session.refused", "request.refused",
    "run.request", "run.state", "plan.change", "approval.yes", "site.credential", "trail.anchor",
)  # fmt: skip
FILTERED = ("actor", "action", "site", "run_id")
BATCH = 1000


def facts(seed: int = 7) -> Iterator[Any]:
    """Without end, and the same at each call: 30 people, 2 sites, a run every 400 entries."""
    from drportal.audit.record import Fact

    chance = random.Random(seed)
    people = [f"person-{number}" for number in range(30)]
    number = 0
    while True:
        number += 1
        action = chance.choice(ACTIONS)
        image = f"one/one-{chance.randrange(4000)}"
        of_run = action.startswith(("step.", "gate.", "run.", "approval."))
        payload = {
            "command": f"rbd --id drportal mirror image demote {image}", "host": "drportal@ceph-a.example.org",
            "exit_status": 0, "duration_s": round(chance.random() * 3, 3),
            "stdout_sha256": f"{chance.getrandbits(256):064x}", "read_at": "2026-01-31T04:05:06.000007Z",
            "evidence": {"positions": [chance.randrange(10**6) for _ in range(4)]},
        }  # fmt: skip
        site = chance.choice(("site-a", "site-b", None))
        run = number // 400 + 1 if of_run else None
        yield Fact(action, image, chance.choice(people), payload, run, site)


def fill(entries: int) -> float:
    """Seconds."""
    from django.db import transaction

    from drportal.audit.record import record_many

    began, source = time.monotonic(), facts()
    for done in range(0, entries, BATCH):
        with transaction.atomic():
            record_many(list(islice(source, min(BATCH, entries - done))))
        if done and done % 100_000 == 0:
            say(f"{done:,} entries")
    return time.monotonic() - began


def plain_model() -> Any:
    """The trail's columns and indexes without lock, hash and trigger; the database numbers the rows."""
    from django.db import connection, models

    from drportal.audit.models import AuditEntry

    columns = {
        field.name: field.clone() for field in AuditEntry._meta.concrete_fields if field.name not in {"seq", "hash"}
    }
    meta = type("Meta", (), {
        "app_label": "bench",
        "indexes": [models.Index(fields=[name, "seq"], name=f"plain_by_{name}") for name in FILTERED],
    })  # fmt: skip
    body = {
        "__module__": __name__, "Meta": meta, **columns,
        "seq": models.BigAutoField(primary_key=True), "hash": models.CharField(max_length=64, unique=True),
    }  # fmt: skip
    model: Any = type("PlainEntry", (models.Model,), body)
    with connection.schema_editor() as editor:
        editor.create_model(model)
    names = ", ".join(connection.ops.quote_name(field.column) for field in AuditEntry._meta.concrete_fields)
    with connection.cursor() as cursor:
        cursor.execute(f"INSERT INTO bench_plainentry ({names}) SELECT {names} FROM audit_auditentry")
        if connection.vendor == "postgresql":
            sequence = "pg_get_serial_sequence('bench_plainentry', 'seq')"
            cursor.execute(f"SELECT setval({sequence}, max(seq)) FROM bench_plainentry")
            cursor.execute("ANALYZE")
    return model


def append_chained(source: Iterator[Any], together: int) -> None:
    from django.db import transaction

    from drportal.audit.record import record_many

    with transaction.atomic():
        record_many(list(islice(source, together)))


def append_plain(model: Any, source: Iterator[Any], together: int) -> None:
    from django.db import transaction
    from django.utils import timezone

    now, chance = timezone.now(), random.SystemRandom()
    with transaction.atomic():
        model.objects.bulk_create(
            model(
                at=now, actor=fact.actor, action=fact.action, subject=fact.subject, site=fact.site, run_id=fact.run_id,
                payload=fact.payload, previous_hash="0" * 64, hash=f"{chance.getrandbits(256):064x}",
            )
            for fact in islice(source, together)
        )  # fmt: skip


def rate(append: Callable[[Iterator[Any]], None], together: int, writers: int, for_s: float) -> float:
    """Entries a second of so many writers at the same time."""
    from django.db import connections

    written, until = [0] * writers, time.monotonic() + for_s

    def write(number: int) -> None:
        source = facts(seed=random.randrange(10**9))
        while time.monotonic() < until:
            append(source)
            written[number] += together
        if writers > 1:
            connections.close_all()

    began = time.monotonic()
    if writers == 1:
        write(0)
    else:
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return sum(written) / (time.monotonic() - began)


def appends(rounds: int, for_s: float) -> bool:
    """Chain and no chain in turn; True where the goal is reached by one writer with one entry a transaction."""
    model = plain_model()
    rows = [("entries a transaction, writers", "chain/s", "plain/s", "chain / plain")]
    reached = True
    for together, writers in ((1, 1), (1, 4), (50, 1)):

        def chained(source: Iterator[Any], n: int = together) -> None:
            append_chained(source, n)

        def plain(source: Iterator[Any], n: int = together) -> None:
            append_plain(model, source, n)

        pairs = [
            (rate(chained, together, writers, for_s), rate(plain, together, writers, for_s)) for _ in range(rounds)
        ]
        ratio = statistics.median(one / other for one, other in pairs)
        chain, other = (statistics.median(values) for values in zip(*pairs, strict=True))
        rows.append((f"{together}, {writers}", f"{chain:,.0f}", f"{other:,.0f}", f"{ratio:.2f}"))
        if (together, writers) == (1, 1):
            reached = ratio >= GOAL_APPEND
    say(f"append rate, median of {rounds} rounds of {for_s:g} s each in turn:\n{lined_up(rows)}")
    return reached


def person() -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    from drportal.people.grants import roles_set
    from drportal.roles import Role

    user, _ = User.objects.get_or_create(username="bench")
    roles_set(person=user, roles=[Role.MANAGER], actor="bench", reason="")
    client = Client()
    client.force_login(user)
    return client


def pages(entries: int, times: int) -> bool:
    """The API's pages of 100; True where each p95 reaches the goal."""
    client, chance = person(), random.Random(3)

    def deep() -> int:
        return chance.randrange(200, max(201, entries))

    asked: dict[str, Callable[[], str]] = {
        "first page": lambda: "",
        "deep page": lambda: f"before={deep()}",
        "one person": lambda: f"actor=person-{chance.randrange(30)}",
        "one person, deep": lambda: f"actor=person-{chance.randrange(30)}&before={deep()}",
        "one action": lambda: f"action={chance.choice(ACTIONS)}",
        "actions by beginning": lambda: "action=step.",
        "actions by beginning, deep": lambda: f"action=step.&before={deep()}",
        "one run": lambda: f"run={chance.randrange(1, entries // 400 + 2)}",
        "one site": lambda: "site=site-b",
        "one site, deep": lambda: f"site=site-b&before={deep()}",
        "person and action": lambda: f"actor=person-{chance.randrange(30)}&action=run.state",
        "person, action, site, deep": lambda: f"actor=person-1&action=run.state&site=site-a&before={deep()}",
        "text that is often there": lambda: "text=one-12",
        "text that is nowhere": lambda: "text=there-is-no-such-text",
        "text that is nowhere, deep": lambda: f"text=there-is-no-such-text&before={deep()}",
    }
    rows, reached = [("page of 100", "median ms", "p95 ms", "worst ms")], True
    for name, query in asked.items():
        took: list[float] = []
        client.get(f"/api/v1/audit?{query()}")  # not measured: the first of all pays for imports
        for _ in range(times):
            began = time.perf_counter()
            answer = client.get(f"/api/v1/audit?{query()}")
            took.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise RuntimeError(f"{name}: {answer.status_code} {answer.content[:200]!r}")
        reached = reached and p95(took) < GOAL_PAGE_S
        rows.append((name, *(f"{value * 1000:.0f}" for value in (statistics.median(took), p95(took), max(took)))))
    say(f"pages, {times} times each (goal: p95 below {GOAL_PAGE_S * 1000:.0f} ms):\n{lined_up(rows)}")
    return reached


def verifying() -> None:
    from drportal.audit.check import verify_database

    began = time.monotonic()
    found = verify_database()
    took = time.monotonic() - began
    if not found.ok:
        raise RuntimeError(found.sentence)
    say(f"verified {found.entries:,} entries in the database in {took:.1f} s: {found.entries / took:,.0f} a second")


def measure(folder: Path, options: argparse.Namespace) -> bool:
    """True where every goal is reached."""
    prepare(folder)
    from django.db import connection

    say(f"{connection.vendor}: {options.entries:,} entries")
    took = fill(options.entries)
    say(f"filled in transactions of {BATCH}: {options.entries / took:,.0f} entries a second")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    quick = pages(options.entries, options.times)
    verifying()
    cheap = appends(options.rounds, options.seconds)
    say(f"pages: {'reached' if quick else 'MISSED'}; append rate: {'reached' if cheap else 'MISSED'}")
    return quick and cheap


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=100, help="how often each page is asked for")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each round of appends")
    parser.add_argument("--database", choices=["sqlite", "postgres"], help="one of the two; both by default")
    options = parser.parse_args()
    if options.database is None:  # a process each: settings are read once
        words = [sys.executable, "-m", "tests.bench.trail", *sys.argv[1:], "--database"]
        on_sqlite = subprocess.run([*words, "sqlite"]).returncode
        return max(on_sqlite, with_postgres([*words, "postgres"], fsync="on"))
    with tempfile.TemporaryDirectory(prefix="drportal-bench-") as name:
        return 0 if measure(Path(name), options) else 1


if __name__ == "__main__":
    sys.exit(main())
