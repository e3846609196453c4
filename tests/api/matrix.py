"""Who gets in where, one row per endpoint of docs/openapi.json and per websocket topic.

Written by hand, so that a change of the code that opens a door is seen here.

One door is outside the API: ``/sign-in/oidc``, where the identity provider sends browsers back to. It is for anybody,
and opens for who carries state and code of a sign-in that was begun in the same browser: tests/people/test_oidc.py.
"""

from __future__ import annotations

import enum

from drportal.roles import Permission


class Who(enum.Enum):
    ANYBODY = "without signing in"
    SIGNED_IN = "whoever is signed in, for what is their own"


ENDPOINTS: dict[Permission | Who, str] = {
    Who.ANYBODY: """
        GET /session
        POST /session
        DELETE /session
        POST /session/factor
        POST /session/key-challenge
        POST /session/oidc
    """,
    Who.SIGNED_IN: """
        POST /session/proof
        PUT /session/password
        GET /factors
        POST /factors/app/begin
        POST /factors/app
        POST /factors/keys/begin
        POST /factors/keys
        PATCH /factors/{factor_id}
        DELETE /factors/{factor_id}
        POST /factors/recovery-codes
        GET /sessions
        DELETE /sessions/{session_id}
        GET /tokens
        POST /tokens
        DELETE /tokens/{token_id}
        GET /views
        PUT /views
        DELETE /views/{view_id}
    """,
    Permission.VIEW: """
        GET /access
        GET /sites
        GET /sites/{slug}
        GET /pairs
        GET /pairs/{pair_id}/images
        GET /pairs/{pair_id}/images.csv
        GET /pairs/{pair_id}/images/places
        GET /images/{image_id}
        GET /sites/{slug}/vms
        GET /sites/{slug}/vms.csv
        GET /sites/{slug}/vms/places
        GET /sites/{slug}/vms/words
        GET /sites/{slug}/vms/choosable
        GET /vms/{vm_id}
        GET /vms/{vm_id}/definition
        GET /sites/{slug}/networks
        GET /sites/{slug}/resources
        GET /vms/{vm_id}/definitions
        GET /vms/{vm_id}/definitions/{before}/diff/{after}
        GET /vms/{vm_id}/definitions/{number}/files
        GET /vms/{vm_id}/definitions/{number}/files/{name}
        GET /groups
        GET /plans
        GET /plans/{plan_id}
        GET /runs
        GET /runs/{run_id}
        GET /runs/{run_id}/steps/{step_id}
        GET /runs/{run_id}/report
        GET /reviews
        GET /runs/{run_id}/review
        GET /plans/{plan_id}/disaster
        GET /approvals
        GET /quarantines
        GET /quarantines/{quarantine_id}
        GET /approvals/{approval_id}
        POST /approvals/{approval_id}/ask
        POST /runs/{run_id}/consequences
        GET /changes
        GET /images/{image_id}/exposure
        GET /pairs/{pair_id}/pools
        GET /pairs/{pair_id}/pools/{name}
        GET /pairs/{pair_id}/pools/{name}/exposure
        GET /groups/{group_id}/exposure
        GET /pairs/{pair_id}/gaps
        GET /pairs/{pair_id}/gaps.csv
        GET /pairs/{pair_id}/gaps/places
        GET /readiness
        GET /reports/quarter
        GET /plans/{plan_id}/standing
        GET /plans/{plan_id}/readiness
        POST /plans/{plan_id}/check
        GET /plans/{plan_id}/checks
        GET /plans/{plan_id}/checks/{check_id}
        GET /plans/{plan_id}/access
        GET /pairs/{pair_id}/access
        GET /pairs/{pair_id}/witnesses
        GET /alerts
        GET /receipts
        GET /policy
        POST /runs/{run_id}/glass-seen
        GET /overview
    """,
    Permission.TEST: """
        GET /plans/{plan_id}/preview
    """,
    Permission.RIGHTS: """
        POST /access/sign-out
        POST /grants
        POST /grants/{grant_id}/take
    """,
    Permission.POLICY: """
        POST /policy/changes
        POST /policy/changes/{change_id}/approve
        POST /policy/changes/{change_id}/decline
        POST /policy/changes/{change_id}/withdraw
    """,
    Permission.SITES: """
        POST /sites
        POST /sites/connection-test
        PATCH /sites/{slug}
        DELETE /sites/{slug}
        PUT /sites/{slug}/credentials/{kind}
        PUT /sites/{slug}/host-keys
        POST /pairs
        POST /pairs/{pair_id}/witnesses
        PUT /pairs/{pair_id}/witnesses/{witness_id}/host-keys
        POST /pairs/{pair_id}/witnesses/{witness_id}/test
        DELETE /pairs/{pair_id}/witnesses/{witness_id}
    """,
    Permission.DISCOVER: """
        POST /pairs/{pair_id}/discover
    """,
    Permission.PLAN: """
        POST /plans
        PUT /plans/{plan_id}
        DELETE /plans/{plan_id}
        PUT /groups/{group_id}/rpo-target
        PUT /plans/{plan_id}/rto-target
    """,
    Permission.RUN: """
        POST /plans/{plan_id}/runs
        POST /runs/{run_id}/pause
        POST /runs/{run_id}/resume
        POST /runs/{run_id}/cancel
        POST /runs/{run_id}/way-back
        POST /runs/{run_id}/choice
        POST /runs/{run_id}/steps/{step_id}/retry
        POST /runs/{run_id}/steps/{step_id}/skip
        POST /runs/{run_id}/review/answer
        POST /plans/{plan_id}/disaster
        POST /runs/{run_id}/approval
        POST /approvals/{approval_id}/withdraw
    """,
    Permission.REVIEW: """
        POST /runs/{run_id}/review/question
        POST /runs/{run_id}/review/accept
        POST /receipts/differences/{difference_id}/settle
    """,
    Permission.AUDIT: """
        GET /audit
        GET /audit/chain
        GET /audit/verify
        GET /audit/export
        GET /audit/{seq}
        GET /sites/{slug}/refusals
    """,
    Permission.APPROVE: """
        POST /approvals/{approval_id}/approve
        POST /approvals/{approval_id}/decline
    """,
    Permission.BREAK_GLASS: """
        POST /approvals/{approval_id}/break-glass
    """,
    Permission.ALERTS: """
        POST /alert-channels
        DELETE /alert-channels/{channel_id}
        POST /alert-channels/{channel_id}/test
        POST /alert-rules
        PUT /alert-rules/{rule_id}
        DELETE /alert-rules/{rule_id}
    """,
}
TOPICS: dict[Permission | Who, str] = {Permission.VIEW: "overview sites runs pair:1 plan:1 run:1"}


def endpoints() -> dict[tuple[str, str], Permission | Who]:
    """(method, path below /api/v1) to who may."""
    found: dict[tuple[str, str], Permission | Who] = {}
    for who, lines in ENDPOINTS.items():
        for line in lines.split("\n"):
            if line.strip():
                method, path = line.split()
                assert (method, path) not in found, f"{line.strip()} has two rows"
                found[method, path] = who
    return found


def topics() -> dict[str, Permission | Who]:
    return {topic: who for who, words in TOPICS.items() for topic in words.split()}


# For who holds the right everywhere: what is about no one thing, or about all of them.
EVERYWHERE = """
    POST /access/sign-out
    POST /sites
    POST /pairs
    GET /audit/chain
    GET /audit/verify
    GET /audit/export
    POST /alert-channels
    DELETE /alert-channels/{channel_id}
    POST /alert-channels/{channel_id}/test
    POST /alert-rules
    PUT /alert-rules/{rule_id}
    DELETE /alert-rules/{rule_id}
    POST /policy/changes
    POST /policy/changes/{change_id}/approve
    POST /policy/changes/{change_id}/decline
    POST /policy/changes/{change_id}/withdraw
"""
# What somebody is shown of the pair and the sites on which a plan stands that they see: of images and VMs only that
# plan's, and what there is to stand on.
GROUND = """
    GET /pairs/{pair_id}/images
    GET /pairs/{pair_id}/images.csv
    GET /pairs/{pair_id}/witnesses
    GET /pairs/{pair_id}/images/places
    GET /sites/{slug}
    GET /sites/{slug}/vms
    GET /sites/{slug}/vms.csv
    GET /sites/{slug}/vms/places
    GET /sites/{slug}/vms/words
    GET /sites/{slug}/vms/choosable
    GET /sites/{slug}/networks
    GET /sites/{slug}/resources
"""


def rows_of(lines: str) -> set[tuple[str, str]]:
    return {(method, path) for method, path in (line.split() for line in lines.split("\n") if line.strip())}
