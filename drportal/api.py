"""The one API object:

who is asking, what they may do, and how a refusal looks. The routers are mounted in ``urls.py``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import DatabaseError
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import URLPattern, URLResolver
from django.views.decorators.csrf import csrf_exempt
from ninja import NinjaAPI
from ninja.errors import HttpError, Throttled, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.operation import Operation
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from drportal.audit.record import refusal_record
from drportal.errors import Forbidden, Invalid, NotFound, PortalError, Unauthenticated
from drportal.people.factors import factor_missing
from drportal.people.proof import proved_lately
from drportal.people.rate import PerPerson
from drportal.people.rights import Rights, reaches, rights_of, visible_to, who_could_give, within_reach
from drportal.people.services import live_token, rights_of_token
from drportal.people.sessions import session_seen
from drportal.roles import Permission, roles_with
from drportal.settings import VERSION

logger = logging.getLogger(__name__)
M = TypeVar("M", bound=Model)


# What a name in a path stands for: the kind of thing, and by what it is found. None: a part of what is named before it
# in the path, or something that is looked up within what the asker may see.
NAMED: dict[str, tuple[str, str] | None] = {
    "slug": ("inventory.site", "slug"),
    "pair_id": ("inventory.sitepair", "pk"),
    "witness_id": ("inventory.witness", "pk"),
    "image_id": ("inventory.mirroredimage", "pk"),
    "vm_id": ("inventory.virtualmachine", "pk"),
    "group_id": ("recovery.protectiongroup", "pk"),
    "plan_id": ("recovery.recoveryplan", "pk"),
    "run_id": ("recovery.run", "pk"),
    "step_id": ("recovery.step", "pk"),
    "approval_id": ("recovery.approval", "pk"),
    "quarantine_id": ("recovery.quarantine", "pk"),
    "check_id": ("watch.readinesscheck", "pk"),
    "difference_id": ("watch.receiptdifference", "pk"),
    "channel_id": ("watch.alertchannel", "pk"),
    "rule_id": ("watch.alertrule", "pk"),
    "grant_id": ("people.grant", "pk"),
    "change_id": ("recovery.policychange", "pk"),
    "seq": None,
    "number": None,
    "before": None,
    "after": None,
    "name": None,
    "kind": None,
    "session_id": None,
    "factor_id": None,
    "view_id": None,
    "token_id": None,
}


class _Requirement(AuthBase):
    """Signed in, and granted ``permission`` (None: signed in is enough) at each thing that the path names.

    ``everywhere``: it is about no one thing, so that a grant at a pair or for a plan is not enough. ``ground``: who
    sees a plan may see this of the pair or site it stands on; the endpoint leaves out what else is there.
    """

    def __init__(self, permission: Permission | None, *, everywhere: bool = False, ground: bool = False) -> None:
        self.permission, self.everywhere, self.ground = permission, everywhere, ground
        super().__init__()

    def admit(self, request: HttpRequest, user: User, rights: Rights, who: str) -> User:
        """The user. Raises Forbidden with who could change that, or NotFound for a thing they don't see. ``who``: who
        lacks it, in words."""
        request.user = user  # also of one that is refused: the trail keeps by whom
        asking = Asking(user, rights, who)
        setattr(request, ASKING, asking)
        if self.permission is None:
            return user
        reach = rights.reach(self.permission)
        if not reach:
            able = ", ".join(sorted(role.value for role in roles_with(self.permission)))
            raise asking.refusal(self.permission, "", f"One of these roles has it: {able}. {who_could_give(None)}")
        if self.everywhere:
            asking.require_everywhere(self.permission)
        for rows in named_in(request) if not reach.everywhere else ():
            asking.require(self.permission, rows, ground=self.ground)
        return user


ASKING = "drportal_asking"
NOT_THERE = "There is no such thing (any more), or it is not for you to see."


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and what they may do by the way they came in. ``who``: the same in words."""

    user: User
    rights: Rights
    who: str

    def require(self, permission: Permission, rows: QuerySet[Any], *, ground: bool = False) -> None:
        """May do it at the thing that ``rows`` has, which is one or none. Raises NotFound, in the same words whether it
        is out of their sight or not there at all, and Forbidden with who could give the right.
        """
        if self.rights.reach(permission).everywhere:
            return
        thing: Model | None = visible_to(self.user, rows, ground=True).first()
        seen = thing is not None
        if seen and permission is Permission.VIEW:
            seen = within_reach(rows, self.rights.reach(permission), ground=ground).exists()
        if not seen:
            raise NotFound(NOT_THERE)
        if permission is not Permission.VIEW and not reaches(self.rights, permission, thing):
            raise self.refusal(permission, " here", who_could_give(thing))

    def require_everywhere(self, permission: Permission) -> None:
        if not self.rights.reach(permission).everywhere:
            raise self.refusal(permission, " everywhere", who_could_give(None))

    def refusal(self, permission: Permission, where: str, ask: str) -> Forbidden:
        said = f"This needs the permission “{permission.value}”{where}, which {self.who} does not have."
        return Forbidden(f"{said} Nothing was changed. {ask}")


def asking(request: HttpRequest) -> Asking:
    """Who asks, of a request that passed ``needs``."""
    return cast(Asking, getattr(request, ASKING))


def seen(request: HttpRequest, rows: QuerySet[M], *, ground: bool = False) -> QuerySet[M]:
    """Those of the rows that the asker sees. For lists, and for all that is counted. ``ground``: as above."""
    return within_reach(rows, asking(request).rights.reach(Permission.VIEW), ground=ground)


def named_in(request: HttpRequest) -> Iterator[QuerySet[Any]]:
    """The things that the request's path names, each as a set of rows of one or none."""
    given = request.resolver_match.kwargs if request.resolver_match else {}
    for name, value in given.items():
        found = NAMED[name]
        if found is None or (found[1] == "pk" and not str(value).isdecimal()):
            continue  # not a number: the endpoint says so
        label, by = found
        yield apps.get_model(label)._default_manager.filter(**{by: value})


class SessionCookie(_Requirement):
    """The browser's way in: the session cookie, and the CSRF token with everything that changes something."""

    openapi_type = "apiKey"
    openapi_in = "cookie"
    openapi_name = "sessionid"

    def __init__(
        self, permission: Permission | None, *, again: bool = False, bare: bool = False, **where: bool
    ) -> None:
        self.again, self.bare = again, bare
        super().__init__(permission, **where)

    def __call__(self, request: HttpRequest) -> User | None:
        if bearer_token(request) is not None:
            return None
        if not request.user.is_authenticated:
            raise Unauthenticated(
                "You are not signed in, or your session has ended. Nothing was changed. Sign in again."
            )
        require_csrf(request)
        user = request.user
        session_seen(request, user)
        if not self.bare:
            require_factor(user)
        admitted = self.admit(request, user, rights_of(user), user.username)
        if self.again:
            require_proof(request)
        return admitted


class BearerToken(_Requirement):
    """The programs' way in: a personal token, with its owner's rights within its scope."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __call__(self, request: HttpRequest) -> User | None:
        token = live_token(bearer_token(request) or "")
        if token is None:
            raise Unauthenticated(
                "The token is not known, has expired, or its owner's account is closed (or signed in too long ago at "
                "the identity provider). Nothing was changed."
            )
        request.user = token.user  # also where it is refused now: a cookie beside it may be somebody else's
        require_factor(token.user)
        return self.admit(request, token.user, rights_of_token(token), f"the token “{token.name}”")


class NoToken(BearerToken):
    """Where a program has no business: a token must not be able to make itself a wider or a longer one."""

    def admit(self, request: HttpRequest, user: User, rights: Rights, who: str) -> User:
        raise Forbidden(
            "A token cannot see or change sessions and tokens. Nothing was changed. Sign in, and use the page Account.",
            code="not_by_token",
        )


def bearer_token(request: HttpRequest) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require_csrf(request: HttpRequest) -> None:
    """Forbidden unless a changing request carries the CSRF token (ninja exempts its views, so this is the check)."""
    if check_csrf(request) is not None:
        raise Forbidden(
            "The request did not carry this page's CSRF token. Nothing was changed. Reload the page.", code="csrf"
        )


def require_factor(user: User) -> None:
    """Forbidden for somebody whose role demands a second factor and who has none yet."""
    if factor_missing(user):
        raise Forbidden(
            "Your role demands a second factor, and you have none. Nothing was changed. Set one up: page Account.",
            code="second_factor_needed",
        )


def require_proof(request: HttpRequest) -> None:
    """Forbidden unless it was shown within the last minutes that it is the session's owner. For what only some bodies
    of a request do; else ``needs(again=True)``. A token is not asked."""
    if bearer_token(request) is None and not proved_lately(request):
        raise Forbidden(
            "Show again that it is you: you did so too long ago for this. Nothing was changed.",
            code="password_again",
        )


def needs(
    permission: Permission | None, *, again: bool = False, everywhere: bool = False, ground: bool = False
) -> list[_Requirement]:
    """For ``auth=``: a session or a token whose owner has the permission (None: any signed-in person) at each thing
    that the path names. What a body or a query names, and what a list shows, is the endpoint's to hold against
    ``people.rights``.

    ``again``: dangerous in the hands of whoever sits down at an unlocked desk: a session must have seen within the last
    minutes that it is still its owner (people/proof.py). A token is given to a program on purpose, with a scope; it is
    not asked.
    """
    where = {"everywhere": everywhere, "ground": ground}
    return [SessionCookie(permission, again=again, **where), BearerToken(permission, **where)]


def needs_session(*, again: bool = False, bare: bool = False) -> list[_Requirement]:
    """For ``auth=``: somebody who is signed in, in a browser; for what is their own. ``again``: as above.

    ``bare``: also somebody who still has to set up the second factor that their role demands.
    """
    return [SessionCookie(None, again=again, bare=bare), NoToken(None)]


def asker(request: HttpRequest) -> User:
    """The person behind a request that passed ``needs``."""
    return cast(User, request.user)


def expected_version(request: HttpRequest) -> int:
    """The version in ``If-Match``; 428 where it is missing:

    whoever changes a thing must say which version was looked at.
    """
    given = request.headers.get("If-Match", "").strip()
    if not given:
        raise PortalError(
            'This change needs the header If-Match: "<version>". Nothing was changed. '
            "Read the object and send its version.",
            status=428,
            code="version_needed",
        )
    digits = given.removeprefix("W/").strip('"')
    if not digits.isdecimal() or len(digits) > 9:
        raise Invalid('If-Match must be a version in quotes, such as "7". Nothing was changed.')
    return int(digits)


class PortalAPI(NinjaAPI):
    """NinjaAPI whose operation ids are the function names, and whose refused methods are problem documents too."""

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> OpenAPISchema:
        """Ninja's own, with what every operation may answer besides: a problem."""
        schema = super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        schema["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
        for operations in schema["paths"].values():
            for operation in operations.values():
                operation["responses"].update(dict.fromkeys(("4XX", "503"), PROBLEM_RESPONSE))
        return schema

    def _get_urls(self) -> list[URLResolver | URLPattern]:
        urls = super()._get_urls()
        for pattern in urls:
            if isinstance(pattern, URLPattern):
                pattern.callback = explain_refused_method(pattern.callback)
        return urls


def explain_refused_method(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    @csrf_exempt  # as ninja's own views are; ``require_csrf`` is called where a session is used
    def explained(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if response.status_code != 405:
            return response
        answer = problem(405, "method_not_allowed", f"{request.method} is not possible here; {response['Allow']} is.")
        answer["Allow"] = response["Allow"]
        return answer

    return explained


TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Changed since you read it",
    413: "Too large",
    422: "Not valid",
    428: "Version needed",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}


PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "RFC 9457. `code` is stable and for programs; `detail` is for people. Some problems say more.",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}
PROBLEM_RESPONSE = {
    "description": "It was not done; the problem says why",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def problem(status: int, code: str, detail: str, extra: dict[str, object] | None = None) -> HttpResponse:
    """RFC 9457 problem document."""
    body = {
        **(extra or {}),
        "type": "about:blank",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    response["Cache-Control"] = "no-store"
    return response


def too_large() -> HttpResponse:
    limit = (settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0) // 2**20
    return problem(
        413, "too_large", f"The request is larger than {limit} MB. It was not read, and nothing was changed."
    )


api = PortalAPI(
    title="DR Portal",
    version=VERSION,
    description="Disaster recovery for OpenNebula on mirrored Ceph. Errors are application/problem+json (RFC 9457).",
    docs_url=None,
    urls_namespace="api",
    throttle=PerPerson(),
)


@api.exception_handler(PortalError)
def _portal_error(request: HttpRequest, error: PortalError) -> HttpResponse:
    if error.status in KEPT and error.code not in NOT_KEPT and request.user.is_authenticated:
        keep_refusal(request, error)
    response = problem(error.status, error.code, error.detail, error.extra)
    if "retry_after_s" in error.extra:
        response["Retry-After"] = str(error.extra["retry_after_s"])
    return response


@api.exception_handler(ValidationError)
def _validation_error(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [
        {"field": ".".join(str(part) for part in e["loc"][2:] or e["loc"]), "message": str(e["msg"])}
        for e in error.errors
    ]
    said = "; ".join(f"{e['field']}: {e['message']}" for e in errors[:3])
    return problem(422, "invalid", f"The request is not valid. Nothing was changed. {said}.", {"errors": errors})


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    return problem(error.status_code, "bad_request", f"{error.message}. Nothing was changed.")


@api.exception_handler(Throttled)
def _throttled(request: HttpRequest, error: Throttled) -> HttpResponse:
    response = problem(
        429,
        "too_many_requests",
        f"You sent more than {settings.REQUESTS_PER_MINUTE} requests within a minute. Nothing was read or changed.",
    )
    response["Retry-After"] = str(math.ceil(error.wait or 1))
    return response


@api.exception_handler(TooManyFieldsSent)
def _too_many_fields(request: HttpRequest, error: TooManyFieldsSent) -> HttpResponse:
    most = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    return problem(400, "too_many_fields", f"The address has more than {most} parameters. Nothing was read or changed.")


@api.exception_handler(RequestDataTooBig)
def _too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return too_large()


@api.exception_handler(Http404)
def _not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return problem(404, "not_found", "There is no such thing (any more).")


@api.exception_handler(Exception)
def _unforeseen(request: HttpRequest, error: Exception) -> HttpResponse:
    logger.error("unforeseen error in %s %s", request.method, request.path, exc_info=error)
    return problem(
        500,
        "internal",
        "The portal failed in a way it did not foresee. Look at what is shown before you try again; "
        "the server's log says more.",
    )


KEPT = frozenset({403, 409, 429})
# Refused with findings, which the service has put into the trail itself; asked for what is being read for them anyway.
NOT_KEPT = frozenset({"not_ready", "too_often"})


def keep_refusal(request: HttpRequest, error: PortalError) -> None:
    """What somebody tried and was not let do, in the trail. The refusal stands even where that cannot be written."""
    facts: dict[str, object] = {"status": error.status, "code": error.code, "detail": error.detail}
    try:
        if (token := live_token(bearer_token(request) or "")) is not None:
            facts["token"] = token.name
        refusal_record(str(request.user), f"{request.method} {request.path}", facts)
    except DatabaseError:
        logger.exception("a refusal was not kept: %s %s %s", request.user, request.method, request.path)


@csrf_exempt  # nothing is here to protect, and the refusal would be a page instead of a problem
def no_such_endpoint(request: HttpRequest) -> HttpResponse:
    """For every path below /api/ that is none."""
    return problem(404, "not_found", f"There is nothing at {request.path}. The list is at /api/v1/openapi.json.")
