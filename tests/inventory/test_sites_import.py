"""Many sites at once from a file: all of it, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from django.core.management import CommandError, call_command

from drportal.audit.models import AuditEntry
from drportal.inventory.models import Site, SitePair

pytestmark = pytest.mark.django_db


def site(slug: str, **fields: object) -> dict[str, object]:
    given = {
        "slug": slug,
        "name": slug.title(),
        "ssh_host": f"{slug}.example.org",
        "ssh_user": "drportal",
        "opennebula_url": f"https://{slug}.example.org:2633/RPC2",
        "opennebula_user": "dr-portal",
    }
    return {**given, **fields}


def written(tmp_path: Path, document: object) -> str:
    path = tmp_path / "sites.yaml"
    path.write_text(yaml.safe_dump(document))
    return str(path)


def test_sites_and_pairs_are_added_once_and_recorded(tmp_path: Path) -> None:
    names = ["berlin", "bonn", "kiel", "ulm"]
    pairs = [{"a": "berlin", "b": "bonn", "pools": ["one"]}, {"a": "kiel", "b": "ulm", "pools": []}]
    path = written(tmp_path, {"sites": [site(name) for name in names], "pairs": pairs})
    call_command("sites_import", path, "--dry-run")
    assert not Site.objects.exists()
    for _ in range(2):
        call_command("sites_import", path, "--actor", "olga")
    assert sorted(Site.objects.values_list("slug", flat=True)) == names
    assert SitePair.objects.count() == 2
    assert set(AuditEntry.objects.values_list("actor", "action")) == {("olga", "site.create"), ("olga", "pair.create")}
    assert AuditEntry.objects.count() == 6


@pytest.mark.parametrize(
    "document",
    [
        {"sites": [site("berlin"), site("bonn", ssh_port=0)]},
        {"sites": [site("berlin")], "pairs": [{"a": "berlin", "b": "nowhere"}]},
        {"sites": [site("berlin")], "surprise": 1},
        {"sites": [site("berlin", opennebula_url="https://user:secret@one.example.org/RPC2")]},
    ],
)
def test_a_file_with_a_fault_changes_nothing(tmp_path: Path, document: object) -> None:
    with pytest.raises(CommandError, match="imported"):
        call_command("sites_import", written(tmp_path, document))
    assert not Site.objects.exists()
    assert not AuditEntry.objects.exists()


def test_the_file_that_the_docs_show_is_taken(tmp_path: Path) -> None:
    page = Path("docs/production.md").read_text()
    shown = page.partition("## Many sites at once")[2].partition("```yaml\n")[2].partition("```")[0]
    call_command("sites_import", written(tmp_path, yaml.safe_load(shown)))
    assert sorted(Site.objects.values_list("slug", flat=True)) == ["berlin", "essen"]
    assert SitePair.objects.get().pools == ["one"]
