"""ASGI entry point: HTTP to Django, websockets to the live consumer (same origin and signed in only)."""

from __future__ import annotations

import os
import warnings
from typing import Any

from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "drportal.settings")
# Each request has a thread of its own here, and one that is kept open would stay with a thread that has ended.
settings.DATABASES["default"]["CONN_MAX_AGE"] = 0
django = get_asgi_application()

# These need Django's apps to be ready.
from drportal.api import too_large  # noqa: E402
from drportal.audit.policy import policy_noted  # noqa: E402
from drportal.consumers import LiveConsumer  # noqa: E402
from drportal.security import AtOnce, BodyLimit, Receive, Send  # noqa: E402

# WhiteNoise hands its files over as plain iterators, which Django reads in a thread: right, and not worth a line each.
warnings.filterwarnings("ignore", "StreamingHttpResponse must consume synchronous iterators", module="django")

http = AtOnce(BodyLimit(django, too_large), settings.REQUESTS_AT_ONCE)
websocket = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/live/", LiveConsumer.as_asgi())])))


async def lifespan(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """What belongs to the beginning and the end of a web process."""
    while (await receive())["type"] == "lifespan.startup":
        await sync_to_async(policy_noted)("web")
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


# Here and not by uvicorn's own option, so that one setting holds however the server is started.
application = ProxyHeadersMiddleware(
    ProtocolTypeRouter({"http": http, "websocket": websocket, "lifespan": lifespan}),
    trusted_hosts=settings.TRUSTED_PROXIES,
)
