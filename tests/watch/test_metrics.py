"""/metrics says what the rows say, to whoever has a token; rules and dashboard ask for what there is."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import pytest
import yaml
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.watch.models import ReceiptDifference, SiteRecord
from tests.conftest import Person

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def scraped(viewer: Person) -> dict[str, list[tuple[dict[str, str], float]]]:
    token = viewer.api("POST", "/tokens", {"name": "prometheus", "days": 30}).json()["token"]
    answer = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.content.decode()):
        found[family.name] = [(sample.labels, sample.value) for sample in family.samples]
    return found


@pytest.mark.django_db
def test_what_is_scraped_is_what_the_rows_say(viewer: Person, pair: SitePair) -> None:
    for number in range(3):
        MirroredImage.objects.create(pair=pair, pool="one", name=f"one-{number}", verdict="diverged", global_id="g")
    MirroredImage.objects.create(pair=pair, pool="one", name="golden", verdict="not_mirrored")  # nobody's
    found = scraped(viewer)
    labels = {"pair": "site-a-site-b", "pool": "one"}
    assert found["drportal_unbounded_images"] == [(labels, 3.0)]
    assert found["drportal_images"] == [({**labels, "verdict": "cannot_tell"}, 4.0)], "nobody watches"
    assert ({"site": "site-a", "part": "ssh"}, 0.0) in found["drportal_site_reachable"]
    assert found["drportal_worker_alive"][0][1] in (0.0, 1.0)


@pytest.mark.django_db
def test_differing_records_and_programs_are_counted_site_by_site(viewer: Person, pair: SitePair) -> None:
    now = timezone.now()
    for number, settled_at in enumerate((None, None, now)):
        ReceiptDifference.objects.create(
            site=pair.a, operation_id=f"operation-{number}", word="unknown_here", found_at=now, settled_at=settled_at
        )
    SiteRecord.objects.create(site=pair.a, compared_at=now - dt.timedelta(hours=2))
    Site.objects.filter(pk=pair.b_id).update(ceph_through="installed", program={"sha256": "0" * 64, "version": "0.9"})
    found = scraped(viewer)
    assert found["drportal_record_differences"] == [({"site": "site-a"}, 2.0), ({"site": "site-b"}, 0.0)]
    assert [(labels, round(age / 60)) for labels, age in found["drportal_records_compared_age_seconds"]] == [
        ({"site": "site-a"}, 120)
    ]
    assert found["drportal_site_program_differs"] == [({"site": "site-b"}, 1.0)]


@pytest.mark.django_db
def test_without_a_token_nothing_is_told(viewer: Person, outsider: Person) -> None:
    assert Client().get("/metrics").status_code == 401
    assert viewer.get("/metrics").status_code == 401, "a session is for people"
    token = outsider.api("POST", "/tokens", {"name": "x", "days": 1}).json()["token"]
    assert Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).status_code == 401


@pytest.mark.django_db
def test_rules_and_dashboard_ask_for_metrics_that_there_are(viewer: Person) -> None:
    there = set(scraped(viewer))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "drportal-rules.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana" / "drportal-dashboard.json").read_text())
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = set(re.findall(r"drportal_[a-z_]+", " ".join(asked)))
    assert len(named) > 8
    assert named <= there, named - there
