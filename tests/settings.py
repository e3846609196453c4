"""The portal's settings with a test's environment.

Django reads settings before pytest reads a conftest, so this stands here.
"""

from __future__ import annotations

import os

from cryptography.fernet import Fernet

os.environ["DRPORTAL_DEBUG"] = "1"
os.environ["DRPORTAL_DEMO"] = "0"
os.environ["DRPORTAL_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
os.environ["DRPORTAL_REQUESTS_PER_MINUTE"] = "0"  # one process here is many people
os.environ["DRPORTAL_SIGNING_KEY"] = "07" * 32
os.environ["DRPORTAL_DATABASE_URL"] = (
    os.environ.get("DRPORTAL_TEST_DATABASE_URL") or "sqlite:////tmp/drportal-never-used.sqlite3"
)
os.environ["DRPORTAL_REDIS_URL"] = (
    "redis://127.0.0.1:1/0"  # nothing listens there: a test that needs Redis starts its own
)

from drportal.settings import *  # noqa: F403
from drportal.settings import DATABASES

DEBUG = False  # errors look as in production; the secret key above came with debugging
ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast; no test is about the hash
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
if "sqlite" in str(DATABASES["default"]["ENGINE"]):
    # A file, not memory: threads (the poller, websockets) must see what the test wrote.
    DATABASES["default"]["TEST"] = {"NAME": f"/tmp/drportal-test-{os.getpid()}.sqlite3"}
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0
    DATABASES["default"]["TEST"] = {"TEMPLATE": os.environ.get("DRPORTAL_TEST_POSTGRES_TEMPLATE")}
