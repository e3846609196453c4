"""compose.yaml fits itself and the portal: no engine is needed to see what one would refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from drportal.recovery.pace import Pace

ROOT = Path(__file__).resolve().parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_names_only_what_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"]), "docker compose refuses the whole file"
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    named = {volume.partition(":")[0] for volume in service.get("volumes", [])}
    assert named <= set(COMPOSE["volumes"])
    for path in re.findall(r"/run/secrets/(\w+)", str(service.get("environment", {}))):
        assert path in service["secrets"], f"{name} reads {path}, which it is not given"


def test_every_secret_is_used_and_the_first_lines_make_it() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    head = (ROOT / "compose.yaml").read_text().partition("x-portal")[0]
    for secret in used:
        assert re.search(rf"> {secret}$", head, re.MULTILINE), f"nobody is told how to make {secret}"


def test_every_setting_that_it_gives_is_one_that_the_portal_reads() -> None:
    settings = (ROOT / "drportal" / "settings.py").read_text()
    given = {name for service in SERVICES.values() for name in service.get("environment", {}) if "DRPORTAL" in name}
    assert len(given) > 5
    for name in given:
        word = name.removeprefix("DRPORTAL_").removesuffix("_FILE")
        assert f'"{word}"' in settings, f"{name} is read nowhere"


def test_the_table_in_docs_names_every_setting_and_no_other_with_its_default() -> None:
    page = (ROOT / "docs" / "production.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `DRPORTAL_")]
    told = {name: default.strip(" `") for names, default in rows for name in re.findall(r"`DRPORTAL_(\w+)`", names)}
    source = (ROOT / "drportal" / "settings.py").read_text()
    read = dict(re.findall(r'env\("(\w+)"(?:, "([^"]*)")?\)', source)) | {"DATABASE_URL": "", "STATIC_ROOT": ""}
    paced = {
        f"PACE_{name.removesuffix('_s').upper()}": field.default for name, field in Pace.__dataclass_fields__.items()
    }
    assert told.keys() - paced.keys() == read.keys() - {"DEBUG", "DEMO"}, "those two are never set in production"
    for name, default in told.items():
        if name in paced:
            assert float(default) == paced[name], name
        elif re.fullmatch(r"[\d.]+|[a-z]+://\S+|refused|groups|preferred_username", read[name]):
            assert default == read[name], name


def test_what_runs_is_what_the_procfile_runs() -> None:
    procfile = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
    assert set(procfile) <= set(SERVICES)
    for name in ("worker", "poller"):
        assert " ".join(SERVICES[name]["command"]) == procfile[name]
    command = re.search(r"^CMD \[(.+)\]$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert command and "command" not in SERVICES["web"], "the image's own command is the web server"
    web = re.findall(r'"([^"]+)"', command[1])
    fixed = re.sub(r"--host \S+|--port \S+", "", procfile["web"]).split()
    assert set(fixed) <= set(web)


def test_everything_that_the_image_copies_is_there() -> None:
    for line in re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE):
        for name in line.split():
            assert (ROOT / name).exists(), name
