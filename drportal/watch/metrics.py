"""``/metrics`` for Prometheus: what the rows say when it is scraped. Needs a personal token (a viewer's will do)
of somebody who sees everything: what is counted here is of all sites.

Nothing is counted in the process, so that it does not matter which of several web servers is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from drportal.api import bearer_token, problem
from drportal.engine.exposure import ExposureKind
from drportal.inventory.installed import pools_sentence, skew_sentence
from drportal.inventory.installed_shown import installed_program
from drportal.inventory.models import MirroredImage, Site, SitePair
from drportal.inventory.schemas import current_verdict, exposure_now
from drportal.jobs import RECOVERY, worker_alive
from drportal.people.services import live_token, rights_of_token
from drportal.recovery.models import ProtectionGroup, Run
from drportal.roles import Permission
from drportal.watch.conditions import PARTS
from drportal.watch.models import Alert, GroupTarget
from drportal.watch.readiness import plan_rows, standings_of
from drportal.watch.rounds import round_of

Rows = Iterable[tuple[list[str], float]]


def metrics(request: HttpRequest) -> HttpResponse:
    token = live_token(bearer_token(request) or "")
    if token is None or not rights_of_token(token).reach(Permission.VIEW).everywhere:
        return problem(
            401, "unauthenticated", "Metrics need the token of a person who may view everything, as a bearer token."
        )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Collector:
    def collect(self) -> Iterator[Metric]:
        yield from image_metrics()
        yield from site_metrics()
        yield from record_metrics()
        yield from plan_metrics()
        yield from portal_metrics()


def gauge(name: str, help_text: str, labels: list[str], rows: Rows) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"drportal_{name}", help_text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def pair_name(pair: SitePair) -> str:
    return f"{pair.a.slug}-{pair.b.slug}"


def image_metrics() -> Iterator[Metric]:
    """Verdicts, exposure by pool and by group."""
    now = timezone.now()
    verdicts: Counter[tuple[str, str, str]] = Counter()
    worst: dict[tuple[str, str], float] = {}
    unbounded: Counter[tuple[str, str]] = Counter()
    exposed: dict[int, tuple[float | None, ExposureKind]] = {}
    rows = MirroredImage.objects.filter(gone_at=None).select_related("pair__a", "pair__b")
    for row in rows.defer("side_a", "side_b", "track", "gaps").iterator(chunk_size=2000):
        pool = (pair_name(row.pair), row.pool)
        verdicts[(*pool, current_verdict(row, now)[0].value)] += 1
        found = exposure_now(row, now)
        exposed[row.pk] = (found.seconds, found.kind)
        if not row.global_id:
            continue  # a gap, or nobody's image: it would never come to a bound
        if found.seconds is not None:
            worst[pool] = max(found.seconds, worst.get(pool, 0.0))
        unbounded[pool] += found.kind is ExposureKind.UNBOUNDED
    yield gauge("images", "Images by verdict.", ["pair", "pool", "verdict"], (([*k], n) for k, n in verdicts.items()))
    help_text = "What would be lost now, at most: the worst image of the pool that has a bound, seconds."
    yield gauge("exposure_seconds", help_text, ["pair", "pool"], (([*k], s) for k, s in worst.items()))
    help_text = "Mirrored images of which no bound on the loss can be given."
    yield gauge("unbounded_images", help_text, ["pair", "pool"], (([*k], n) for k, n in unbounded.items()))
    yield from group_metrics(exposed)


def group_metrics(exposed: dict[int, tuple[float | None, ExposureKind]]) -> Iterator[Metric]:
    groups = {group.pk: group.name for group in ProtectionGroup.objects.all()}
    members = ProtectionGroup.objects.filter(members__vm__disks__image__isnull=False)
    worst: dict[int, float] = {}
    untold: dict[int, int] = dict.fromkeys(groups, 0)
    for group_id, image_id in members.values_list("pk", "members__vm__disks__image").distinct():
        seconds, kind = exposed.get(image_id, (None, ExposureKind.CANNOT_TELL))
        untold[group_id] += kind is ExposureKind.CANNOT_TELL
        value = float("inf") if kind is ExposureKind.UNBOUNDED else seconds
        if value is not None:
            worst[group_id] = max(value, worst.get(group_id, 0.0))
    help_text = "What would be lost now, at most, seconds: the worst image of which it can be told; +Inf: no bound."
    yield gauge("group_exposure_seconds", help_text, ["group"], (([groups[k]], s) for k, s in worst.items()))
    help_text = "Images of the group of which it cannot be told what would be lost."
    yield gauge("group_untold_images", help_text, ["group"], (([groups[k]], n) for k, n in untold.items()))
    targets = GroupTarget.objects.select_related("group")
    help_text = "What was agreed, seconds."
    yield gauge("group_rpo_target_seconds", help_text, ["group"], (([t.group.name], t.rpo_s) for t in targets))


def site_metrics() -> Iterator[Metric]:
    sites, now = list(Site.objects.all()), timezone.now()
    reach = [
        ([site.slug, part], 1.0 if getattr(site, f"{part}_reachable") else 0.0) for site in sites for part, _ in PARTS
    ]
    yield gauge("site_reachable", "1: that part of the site answers.", ["site", "part"], reach)
    skews = [([site.slug], site.clock_skew_s) for site in sites if site.clock_skew_s is not None]
    yield gauge("site_clock_skew_seconds", "How far its clock is ahead of the portal's.", ["site"], skews)
    pairs = list(SitePair.objects.select_related("a", "b"))
    ages = [([pair_name(pair)], (now - pair.polled_at).total_seconds()) for pair in pairs if pair.polled_at]
    yield gauge("poll_age_seconds", "Since the pair was last looked at.", ["pair"], ages)
    gaps = [([pair_name(pair), level], float(n)) for pair in pairs for level, n in round_of(pair, now).gaps.items()]
    yield gauge("protection_gaps", "Protection gaps by level.", ["pair", "level"], gaps)


def record_metrics() -> Iterator[Metric]:
    """The sites' own records against the trail, and their programs against the portal's own."""
    now, sites = timezone.now(), list(Site.objects.select_related("record"))
    not_settled = Count("differences", filter=Q(differences__settled_at=None))
    differ = Site.objects.annotate(n=not_settled).values_list("slug", "n")
    help_text = "Acts of which the site's receipt and the trail say different things, not settled."
    yield gauge("record_differences", help_text, ["site"], (([slug], n) for slug, n in differ))
    records = [(site.slug, getattr(site, "record", None)) for site in sites]
    ages = [([slug], (now - row.compared_at).total_seconds()) for slug, row in records if row and row.compared_at]
    yield gauge("records_compared_age_seconds", "Since a comparison of its receipts came to an end.", ["site"], ages)
    programs = [site for site in sites if installed_program(site)]
    rows = (([site.slug], float(bool(skew_sentence(site) or pools_sentence(site)))) for site in programs)
    help_text = "1: the installed program is not the portal's own, or reaches other pools than the portal watches."
    yield gauge("site_program_differs", help_text, ["site"], rows)


def plan_metrics() -> Iterator[Metric]:
    plans = plan_rows()
    found = standings_of(plans)
    standings = [([plan.name, found[plan.pk][0].standing.value], 1.0) for plan in plans]
    yield gauge("plan_readiness", "1 for the standing that the plan has.", ["plan", "standing"], standings)
    runs = Run.objects.order_by().values_list("kind", "state").annotate(n=Count("pk"))
    yield gauge("runs", "Runs by kind and state.", ["kind", "state"], (([kind, state], n) for kind, state, n in runs))


def portal_metrics() -> Iterator[Metric]:
    yield gauge("worker_alive", "1: a worker that drives runs listens.", [], [([], float(worker_alive(RECOVERY)))])
    alerts = Alert.objects.filter(ended_at=None, fired_at__isnull=False).order_by()
    rows = alerts.values_list("rule__kind").annotate(n=Count("pk"))
    yield gauge("open_alerts", "Alerts that were told and are not over.", ["kind"], (([kind], n) for kind, n in rows))
