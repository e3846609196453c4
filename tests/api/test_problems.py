"""Every refusal is a problem document with a code for programs and a sentence for people."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.http import HttpResponse

from drportal.asgi import application
from drportal.inventory.models import Site, SitePair
from drportal.security import AtOnce
from tests.conftest import Person


def problem(answer: HttpResponse, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, object] = answer.json()
    assert body["type"] == "about:blank"
    assert body["status"] == status
    assert body["code"] == code
    assert str(body["title"])
    assert str(body["detail"]).endswith((".", "?"))
    return body


def test_not_signed_in(stranger: Person) -> None:
    problem(stranger.api("GET", "/sites"), 401, "not_signed_in")


def test_not_allowed_names_who_is(viewer: Person) -> None:
    body = problem(viewer.api("POST", "/sites", {}), 403, "forbidden")
    assert "administrator" in str(body["detail"])


def test_no_such_path_below_the_api(viewer: Person) -> None:
    problem(viewer.api("GET", "/no-such-thing"), 404, "not_found")


def test_no_such_object(viewer: Person) -> None:
    for path in ("/sites/nowhere", "/images/1", "/vms/1", "/vms/1/definition", "/pairs/1/images"):
        problem(viewer.api("GET", path), 404, "not_found")


def test_a_method_that_is_not_possible_says_which_are(viewer: Person) -> None:
    answer = viewer.api("PUT", "/sites")
    problem(answer, 405, "method_not_allowed")
    assert {method.strip() for method in answer["Allow"].split(",")} >= {"GET", "POST"}


def test_invalid_bodies_name_each_field(administrator: Person) -> None:
    body = problem(administrator.api("POST", "/sites", {"slug": "Not A Slug"}), 422, "invalid")
    errors = body["errors"]
    assert isinstance(errors, list)
    assert {"slug", "name", "ssh_host"} <= {error["field"] for error in errors}
    assert all(error["message"] for error in errors)


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", '"x"', "\udcff".encode("utf-8", "surrogateescape").decode("latin1")]
)
def test_bodies_that_are_not_what_is_asked_for(administrator: Person, text: str) -> None:
    answer = administrator.generic(
        "POST",
        "/api/v1/sites",
        text,
        content_type="application/json",
        headers={"X-CSRFToken": administrator.cookies["csrftoken"].value},
    )
    assert answer.status_code in {400, 422}
    assert answer["Content-Type"] == "application/problem+json"


def test_a_change_without_a_version_is_asked_for_one(administrator: Person, pair: SitePair) -> None:
    problem(administrator.api("PATCH", "/sites/site-a", {"name": "A"}), 428, "version_needed")


def test_a_change_of_an_old_version_is_refused_and_told_the_new_one(administrator: Person, pair: SitePair) -> None:
    assert administrator.api("PATCH", "/sites/site-a", {"name": "A"}, version=1).status_code == 200
    body = problem(administrator.api("PATCH", "/sites/site-a", {"name": "B"}, version=1), 412, "stale_version")
    assert body["version"] == 2
    assert Site.objects.get(slug="site-a").name == "A"


@pytest.mark.parametrize("given", ["seven", "-1", '"1" "2"', '"99999999999"'])
def test_a_version_that_is_none_is_refused(administrator: Person, pair: SitePair, given: str) -> None:
    answer = administrator.api("PATCH", "/sites/site-a", {"name": "A"}, **{"If-Match": given})
    problem(answer, 422, "invalid")


def test_a_request_from_another_page_is_refused(administrator: Person) -> None:
    answer = administrator.api("POST", "/sites", {}, **{"X-CSRFToken": "wrong"})
    problem(answer, 403, "csrf")


def test_an_unforeseen_error_tells_nothing_and_is_logged(
    viewer: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("the inner secret")

    monkeypatch.setattr("drportal.inventory.services.Site.objects.filter", fail)
    with caplog.at_level(logging.ERROR):
        answer = viewer.api("GET", "/sites/site-a")
    problem(answer, 500, "internal")
    assert b"inner secret" not in answer.content
    assert "inner secret" in caplog.text


def test_pages_and_answers_carry_the_policy_against_foreign_scripts(viewer: Person) -> None:
    for path in ("/", "/api/v1/session", "/plans/1/run/planned_failover"):
        policy = viewer.get(path)["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy


def test_answers_of_the_api_are_kept_nowhere(viewer: Person) -> None:
    for path in ("/api/v1/sites", "/api/v1/session", "/api/v1/sites/none", "/api/v2/anything"):
        assert viewer.get(path)["Cache-Control"] == "no-store", path


def test_the_page_is_served_everywhere_but_below_the_api_and_static_files(viewer: Person) -> None:
    page = viewer.get("/runs/12")
    assert page.status_code in {200, 503}, "503 only where the page was not built"
    assert "csrftoken" in page.cookies
    assert viewer.get("/static/no-such-file.js").status_code == 404
    assert viewer.get("/api/v2/anything")["Content-Type"] == "application/problem+json"


def test_a_body_over_the_limit_is_told_so(stranger: Person, administrator: Person) -> None:
    for person, path in ((stranger, "/session"), (administrator, "/sites")):
        answer = person.api("POST", path, {"username": "x" * 1024 * 1024, "password": "y"})
        body = problem(answer, 413, "too_large")
        assert "1 MB" in str(body["detail"])


def test_more_parameters_than_django_reads_are_refused_and_not_an_error_of_ours(viewer: Person) -> None:
    body = problem(viewer.api("GET", "/runs?" + "x=1&" * 1001), 400, "too_many_fields")
    assert "1000 parameters" in str(body["detail"])


def test_more_requests_a_minute_than_a_person_may_send_are_refused_and_nobody_elses(
    viewer: Person, operator: Person, settings: Any
) -> None:
    settings.REQUESTS_PER_MINUTE = 5
    answers = [viewer.api("GET", "/sites") for _ in range(12)]  # a new minute may begin within them
    assert answers[0].status_code == 200
    refused = next(answer for answer in answers if answer.status_code != 200)
    assert "Nothing was read or changed" in str(problem(refused, 429, "too_many_requests")["detail"])
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert operator.api("GET", "/sites").status_code == 200


async def test_requests_beyond_so_many_wait_and_none_is_refused() -> None:
    under_way, most, go_on = 0, 0, asyncio.Event()

    async def app(*call: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1

    at_once: Any = AtOnce(app, 2)
    requests = [asyncio.create_task(at_once({}, None, None)) for _ in range(5)]
    await asyncio.sleep(0.01)
    assert under_way == 2
    go_on.set()
    await asyncio.gather(*requests)
    assert (under_way, most) == (0, 2)


async def over_asgi(*chunks: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    """Status and body of a POST that arrives in pieces."""
    names = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http", "method": "POST", "path": "/api/v1/session", "query_string": b"", "headers": names,
        "client": ("127.0.0.1", 1), "server": ("testserver", 80), "scheme": "http", "http_version": "1.1",
    }  # fmt: skip
    talk = ApplicationCommunicator(application, scope)
    for number, chunk in enumerate(chunks, 1):
        await talk.send_input({"type": "http.request", "body": chunk, "more_body": number < len(chunks)})
    start = await talk.receive_output(timeout=10)
    body = (await talk.receive_output(timeout=10))["body"]
    return start["status"], json.loads(body)


@pytest.mark.django_db(transaction=True)
async def test_a_body_over_the_limit_is_not_even_kept() -> None:
    kinds = {"host": "testserver", "content_type": "application/json"}
    for chunks, said in [([b""], {"content_length": str(2**20 + 1)}), ([b"x" * 2**18] * 5, {})]:
        status, body = await over_asgi(*chunks, **kinds, **said)
        assert (status, body["code"]) == (413, "too_large")
    status, body = await over_asgi(*[b"x" * 2**18] * 4, **kinds)
    assert (status, body["code"]) != (413, "too_large")
    assert status < 500
