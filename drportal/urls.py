"""Addresses:

the API, and one page for everything else. (Static files are WhiteNoise's, websockets are in ``asgi.py``.)
"""

from __future__ import annotations

from django.urls import path, re_path

from drportal.api import api, no_such_endpoint
from drportal.people import oidc
from drportal.security import page
from drportal.watch.metrics import metrics

for router in (
    "people.api", "people.api_factors", "people.api_access",
    "inventory.api", "inventory.api_assets", "inventory.api_definitions", "inventory.api_changes",
    "inventory.api_witnesses",
    "recovery.api", "recovery.api_runs", "recovery.api_reviews",
    "audit.api",
):  # fmt: skip
    api.add_router("", f"drportal.{router}.router", tags=[router.partition(".")[0]])
api.add_router("", "drportal.recovery.api_approvals.router", tags=["recovery"])
api.add_router("", "drportal.recovery.api_quarantine.router", tags=["recovery"])
api.add_router("", "drportal.recovery.api_policy.router", tags=["recovery"])
for router in (
    "api_exposure", "api_gaps", "api_readiness", "api_alerts", "api_receipts", "api_refusals", "api_reports",
    "api_views",
):  # fmt: skip
    api.add_router("", f"drportal.watch.{router}.router", tags=["watch"])
api.add_router("", "drportal.overview.router", tags=["overview"])

urlpatterns = [
    path("api/v1/", api.urls),
    re_path(r"^api/", no_such_endpoint),
    path("metrics", metrics),
    path(oidc.CALLBACK.removeprefix("/"), oidc.callback),
    re_path(r"^(?!static/|ws/)", page),
]
