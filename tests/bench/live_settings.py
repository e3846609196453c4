"""The portal's settings as in production, without Redis: hints stay in the process."""

from __future__ import annotations

from drportal.settings import *  # noqa: F403

DEBUG = False
ALLOWED_HOSTS = ["testserver"]
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
