"""What all tests share: people of each role, two sites, and a trail that a test database may forget."""

from __future__ import annotations

import gc
import importlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from django.contrib.auth.models import User
from django.db import connections
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from drportal.inventory.models import Site, SitePair
from drportal.lab.control import LabClient
from drportal.people.models import Grant
from drportal.roles import Role
from tests.end_to_end.browser import chromium
from tests.migrated import begin_with_a_copy
from tests.stack import LabProcess

trail_triggers = importlib.import_module("drportal.audit.migrations.0002_refuse_changes")
PASSWORD = "correct horse battery staple"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.spreading import Spread  # here, so that one process needs no pytest-xdist

    return Spread(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("DRPORTAL_TEST_POSTGRES_TEMPLATE"):
        only_about_the_database(config, items)
    if hasattr(config, "workerinput"):
        from tests.spreading import in_order

        in_order(items)


def only_about_the_database(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL what touches a database is run once more; the rest would be just the same."""
    pure = [item for item in items if not touches_the_database(item)]
    config.hook.pytest_deselected(items=pure)
    items[:] = [item for item in items if touches_the_database(item)]


def touches_the_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(fixtures & {"db", "transactional_db"})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Figures that tests have recorded (``record_property(NAME, {WORD: COUNT})``), each name's added up over all."""
    told: dict[str, Counter[str]] = {}
    for report in (*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")):
        for name, figures in report.user_properties if report.when == "call" else ():
            if isinstance(figures, dict):
                told.setdefault(name, Counter()).update(figures)
                told[name].update(dict.fromkeys(figures, 0))
    if told:
        terminalreporter.section("figures")
    for name, figures in told.items():
        counts = ", ".join(f"{count} {word}" for word, count in figures.items())
        terminalreporter.line(f"{name}: {counts}")


@pytest.fixture(scope="session", autouse=True)
def flush_may_empty_the_trail() -> Iterator[None]:
    """Transactional tests end with a flush, which the trail's triggers refuse: take them down for that moment only."""
    original = BaseDatabaseOperations.execute_sql_flush

    def flush(self: BaseDatabaseOperations, statements: list[str]) -> None:
        triggers = trail_triggers.statements(self.connection.vendor)
        with self.connection.cursor() as cursor:
            for _, backward in reversed(triggers):
                cursor.execute(backward)
        original(self, statements)
        with self.connection.cursor() as cursor:
            for forward, _ in triggers:
                cursor.execute(forward)

    patch = pytest.MonkeyPatch()
    patch.setattr(BaseDatabaseOperations, "execute_sql_flush", flush)
    assert "execute_sql_flush" not in vars(PostgresOperations), "PostgreSQL would flush in its own way"
    yield
    patch.undo()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> Iterator[None]:
    """What pytest-django asks for before it makes the databases."""
    patch = pytest.MonkeyPatch()
    begin_with_a_copy(patch)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """PostgreSQL drops no database that somebody is connected to.

    asgiref keeps one thread for the database work of async code, with a connection of its own; connections of threads
    that have ended go with the garbage.
    """
    yield
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    gc.collect()


class Person(Client):
    """A signed-in browser that speaks JSON and carries the CSRF token, as the page does."""

    def __init__(self, user: User | None) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.user = user
        if user is not None:
            self.force_login(user)
            session = self.session
            session["proved_at"] = time.time()  # as after signing in with the password
            session.save()
        self.get("/api/v1/session")

    def api(
        self, method: str, path: str, body: Any = None, *, version: int | None = None, **headers: str
    ) -> HttpResponse:
        """``api("POST", "/plans", {...})``; ``version`` becomes If-Match."""
        sent = {"X-CSRFToken": self.cookies["csrftoken"].value, **headers}
        if version is not None:
            sent["If-Match"] = f'"{version}"'
        data = "" if body is None else json.dumps(body)
        return self.generic(method, f"/api/v1{path}", data, content_type="application/json", headers=sent)

    def read(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.api("GET", path)
        assert answer.status_code == 200, answer.content
        return answer.json()


def make_person(username: str, *roles: Role, pair: Any = None, plan: Any = None) -> Person:
    """Somebody who holds the roles everywhere, or at the pair, or for the plan."""
    user = User.objects.create_user(username, password=PASSWORD)
    hold(user, *roles, pair=pair, plan=plan)
    return Person(user)


def hold(user: User, *roles: Role, **scope: Any) -> None:
    fields = {"given_by": "a test", "given_at": timezone.now(), **scope}
    Grant.objects.bulk_create([Grant(person=user, role=role.value, **fields) for role in roles])


@pytest.fixture
def viewer(db: None) -> Person:
    return make_person("viewer", Role.VIEWER)


@pytest.fixture
def operator(db: None) -> Person:
    return make_person("operator", Role.OPERATOR)


@pytest.fixture
def approver(db: None) -> Person:
    return make_person("approver", Role.APPROVER)


@pytest.fixture
def manager(db: None) -> Person:
    return make_person("manager", Role.MANAGER)


@pytest.fixture
def administrator(db: None) -> Person:
    return make_person("administrator", Role.ADMINISTRATOR)


@pytest.fixture
def outsider(db: None) -> Person:
    """Signed in, without any role."""
    return make_person("outsider")


@pytest.fixture
def stranger(db: None) -> Person:
    """Not signed in."""
    return Person(None)


@pytest.fixture
def make_site(db: None) -> Callable[..., Site]:
    def make(slug: str, **fields: Any) -> Site:
        values = {
            "name": slug.title(),
            "ssh_host": "127.0.0.1",
            "ssh_port": 1,
            "ssh_user": "drportal",
            "opennebula_url": "http://127.0.0.1:1/RPC2",
            "opennebula_user": "dr-portal",
        }
        return Site.objects.create(slug=slug, **{**values, **fields})

    return make


@pytest.fixture
def pair(make_site: Callable[..., Site]) -> SitePair:
    """Two sites whose addresses lead nowhere."""
    return SitePair.objects.create(a=make_site("site-a"), b=make_site("site-b"), pools=["one"])


@pytest.fixture(scope="session")
def lab_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    """One embedded lab for all tests that only look at it."""
    with LabProcess("embedded", tmp_path_factory.mktemp("lab") / "lab", "--speed", "5", vms=3, mode="mixed") as lab:
        yield lab


@pytest.fixture
def lab(lab_process: LabProcess) -> Iterator[LabClient]:
    """That lab, whole again after each test."""
    yield lab_process.client
    for site in ("a", "b"):
        lab_process.client.restore(site)


@pytest.fixture
def require_ceph(request: pytest.FixtureRequest) -> None:
    """For tests that may run on real Ceph:

    says so where it is not installed; DRPORTAL_REQUIRE_CEPH=1 makes that a failure.
    """
    parameters = getattr(getattr(request.node, "callspec", None), "params", {})
    if request.node.get_closest_marker("ceph") is None and "ceph" not in parameters.values():
        return
    need(
        ["ceph-mon", "ceph-osd", "ceph-mgr", "rbd-mirror", "sshd"],
        "ceph-mon ceph-osd ceph-mgr rbd-mirror openssh-server",
    )


def need(programs: list[str], packages: str) -> None:
    """Skips, and says what is not installed; with DRPORTAL_REQUIRE_CEPH=1 it fails."""
    missing = [program for program in programs if not find_program(program)]
    if missing and os.environ.get("DRPORTAL_REQUIRE_CEPH") == "1":
        pytest.fail(f"real Ceph is required here, but not installed: {', '.join(missing)}")
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian packages {packages})")


def find_program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


@pytest.fixture(scope="session")
def require_browser() -> None:
    """Says so where no Chromium is installed; DRPORTAL_REQUIRE_ALL=1 makes that a failure."""
    if chromium() is None:
        words = "Chromium is not installed"
        if os.environ.get("DRPORTAL_REQUIRE_ALL") == "1":
            pytest.fail(words)
        pytest.skip(words)
