"""What the browser may do with our pages, and the one page there is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_safe

# No inline script and no inline style: React and PatternFly set styles through the DOM, which a policy does not
# concern.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


class ContentSecurityPolicyMiddleware:
    """Puts the policy on every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        return response


Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class NothingKeptMiddleware:
    """No answer of the API stays in a browser or a proxy: who sits down at the desk next finds nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class BodyTooLarge(Exception):
    """Raised where the body is read, caught around the whole request."""


class BodyLimit:
    """ASGI: no request has a larger body than Django would take, whether or not it says its length beforehand. (Django
    believes the length that is said, and keeps a body of any size until then.)"""

    def __init__(
        self, app: Callable[[dict[str, Any], Receive, Send], Awaitable[None]], refusal: Callable[[], HttpResponse]
    ):
        self.app, self.refusal = app, refusal

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, seen = int(settings.DATA_UPLOAD_MAX_MEMORY_SIZE or 0), 0

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise BodyTooLarge
            return message

        said = dict(scope["headers"]).get(b"content-length", b"0")
        try:
            if said.isdigit() and int(said) > limit:
                raise BodyTooLarge
            await self.app(scope, limited, send)
        except BodyTooLarge:
            await answer(self.refusal(), send)


class AtOnce:
    """ASGI: of all requests so many are worked on, and the others wait. Each has a thread of its own, with a connection
    to the database: a few hundred browsers that come back at once were refused by PostgreSQL as too many clients."""

    def __init__(self, app: Callable[[dict[str, Any], Receive, Send], Awaitable[None]], most: int):
        self.app, self.turns = app, asyncio.Semaphore(most)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        async with self.turns:
            await self.app(scope, receive, send)


async def answer(response: HttpResponse, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    headers.append((b"connection", b"close"))  # what is left of the body is not read
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


@require_safe
@ensure_csrf_cookie
def page(request: HttpRequest) -> HttpResponse:
    """The single page, for every address that is not the API's; the browser's router does the rest."""
    index = settings.BASE_DIR / "static" / "app" / "index.html"
    if not index.exists():
        return HttpResponse("The page has not been built: run `make bundle`.", status=503, content_type="text/plain")
    response = HttpResponse(index.read_bytes())
    response["Cache-Control"] = "no-cache"
    return response
