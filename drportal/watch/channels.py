"""Where messages go: mail, webhooks, Slack and what speaks like it. Sent through Apprise.

An address is an Apprise URL and holds secrets, so it is kept encrypted and never shown whole. Only kinds of addresses
that go over the network to somebody are allowed: none that writes a file or runs a program here.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import apprise
from django.db import IntegrityError, transaction
from django.utils import timezone

from drportal.audit.record import record
from drportal.errors import Conflict, Invalid, NotFound
from drportal.sealing import seal, unseal
from drportal.watch.models import AlertChannel

ALLOWED = frozenset(
    {
        "mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls", "slack", "mmost", "mmosts", "rocket",
        "rockets", "ntfy", "ntfys", "matrix", "matrixs", "msteams", "workflows",
    }
)  # fmt: skip
DEADLINE_S = 10
# Messages are the portal's own: not a library's name, and no picture that each reader would fetch from elsewhere.
OWN: dict[str, Any] = {
    "app_id": "DR Portal",
    "app_desc": "DR Portal",
    "app_url": "",
    "image_url_mask": "",
    "image_url_logo": "",
}


def channel_get(channel_id: int) -> AlertChannel:
    channel = AlertChannel.objects.filter(pk=channel_id).first()
    if channel is None:
        raise NotFound("This channel is not known (any more).")
    return channel


def channel_create(*, actor: str, name: str, address: str) -> AlertChannel:
    """Raises Invalid for an address that is none, Conflict for a taken name. The trail keeps no address."""
    shown = shown_address(address)
    try:
        with transaction.atomic():
            kept = {"ciphertext": seal(address.encode()), "shown": shown, "changed_by": actor}
            channel = AlertChannel.objects.create(name=name, **kept)
            record("alert.channel_create", name, {"address": shown}, actor=actor)
    except IntegrityError:
        raise Conflict(f"There is a channel “{name}” already. Nothing was changed.", code="name_taken") from None
    return channel


def channel_delete(*, actor: str, channel_id: int) -> None:
    """With the messages that wait for it; rules lose it."""
    with transaction.atomic():
        channel = channel_get(channel_id)
        rules = list(channel.rules.values_list("name", flat=True))
        record("alert.channel_delete", channel.name, {"address": channel.shown, "rules": rules}, actor=actor)
        channel.delete()


def shown_address(address: str) -> str:
    """What may be shown: kind and host. Raises Invalid."""
    service = _service(address)
    if service is None:
        raise Invalid(
            "This is not an address that messages can go to. Nothing was changed. Examples: "
            "mailtos://user:password@mail.example.org?to=ops@example.org, jsons://hooks.example.org/path, "
            "slack://TokenA/TokenB/TokenC, mmosts://chat.example.org/token."
        )
    kind = _kind(service)
    host = re.sub(r"[^A-Za-z0-9.:-]", "", str(getattr(service, "host", "") or ""))[:200]
    return f"{kind}://{host}" if kind not in {"slack", "msteams"} else f"{kind}://…"


def _service(address: str) -> apprise.NotifyBase | None:
    """None for what is no address, or of a kind that is not allowed."""
    if "\n" in address or len(address) > 2000:
        return None
    own = apprise.AppriseAsset(**OWN)
    found = apprise.Apprise.instantiate(address.strip(), asset=own, suppress_exceptions=True)
    if found is None or _kind(found) not in ALLOWED:
        return None
    return found


def _kind(service: Any) -> str:
    return str(service.url()).partition("://")[0].lower()


def send(channel: AlertChannel, title: str, body: str) -> str:
    """Send one message now, blocking for at most some ``DEADLINE_S``. What went wrong, or an empty string.

    Noted on the channel either way.
    """
    trouble = _send(unseal(bytes(channel.ciphertext)).decode(), title, body)
    fields: dict[str, object] = {"last_trouble": trouble}
    if not trouble:
        fields["last_sent_at"] = timezone.now()
    AlertChannel.objects.filter(pk=channel.pk).update(**fields)
    return trouble


def _send(address: str, title: str, body: str) -> str:
    service = _service(address)
    if service is None:
        return "The address is not one that messages can go to any more."
    service.socket_connect_timeout = service.socket_read_timeout = DEADLINE_S
    capture: Any = apprise.LogCapture
    with capture(level=logging.WARNING, fmt="%(message)s") as log:
        try:
            sent = service.notify(body=body, title=title)
        except Exception as error:  # the services' own errors differ; a message may fail, the portal must not
            return f"It could not be sent: {type(error).__name__}."
        said = " ".join(log.getvalue().split())[:300]
    return "" if sent else f"It could not be sent. {said}".strip()
