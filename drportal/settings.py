"""Settings, all from the environment (prefix ``DRPORTAL_``). ``docs/production.md`` lists and explains each one."""

from __future__ import annotations

import os
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from drportal.people.mapping import issuer_named, roles_by_group, roles_named

BASE_DIR = Path(__file__).resolve().parent.parent
VERSION = "0.1.0"


def env(name: str, default: str = "") -> str:
    """The setting ``DRPORTAL_<name>``, or the content of the file that ``DRPORTAL_<name>_FILE`` names."""
    path = os.environ.get(f"DRPORTAL_{name}_FILE")
    if path:
        return Path(path).read_text().strip()
    return os.environ.get(f"DRPORTAL_{name}", default)


def database(url: str) -> dict[str, object]:
    """``sqlite:///path`` or ``postgresql://user:password@host:port/name`` as Django wants it."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path[1:]) if parts.path.startswith("//") else unquote(parts.path) or ":memory:",
            # One writer at a time, and it says so at BEGIN: a read that turns into a write would fail without waiting.
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
        }
    if parts.scheme in {"postgresql", "postgres"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.path[1:],
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }
    raise ImproperlyConfigured("DRPORTAL_DATABASE_URL must begin with sqlite:/// or postgresql://")


def networks(words: str) -> list[str]:
    """Addresses and networks, comma separated. One that is none would be a door that nobody meant."""
    found = [word.strip() for word in words.split(",") if word.strip()]
    for word in found:
        try:
            ip_network(word)
        except ValueError as error:
            raise ImproperlyConfigured(f"DRPORTAL_TRUSTED_PROXIES: {error}") from None
    return found


DEBUG = env("DEBUG") == "1"
DEMO = env("DEMO") == "1"
SECRET_KEY = env("SECRET_KEY") or ("not-secret-only-for-tests-and-debug" * 2 if DEBUG else "")
if not SECRET_KEY:
    raise ImproperlyConfigured("Set DRPORTAL_SECRET_KEY (or DRPORTAL_SECRET_KEY_FILE); `make demo` does it for you.")
ALLOWED_HOSTS = [h for h in env("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]").split(",") if h]
CSRF_TRUSTED_ORIGINS = [o for o in env("TRUSTED_ORIGINS").split(",") if o]
# Who may say, with X-Forwarded-For and X-Forwarded-Proto, for whom a request is and how it came (asgi.py): addresses
# and networks, comma separated. From anybody else these headers are not believed.
TRUSTED_PROXIES = networks(env("TRUSTED_PROXIES", "127.0.0.1,::1"))

# Keys that encrypt the sites' credentials, newest first (Fernet keys, comma separated). Never the same as SECRET_KEY.
ENCRYPTION_KEYS = [k for k in env("ENCRYPTION_KEYS").split(",") if k]

# Signs exports of the trail: an Ed25519 private key, 64 hex digits (`manage.py trail new-key`).
SIGNING_KEY = env("SIGNING_KEY")
# Where the heads of the trail are noted (audit/anchors.py), and how often. Seconds.
ANCHORS = env("ANCHORS").split()
ANCHOR_INTERVAL_S = float(env("ANCHOR_INTERVAL", "900"))
# For places such as ssh:user@host:port: the private key, and the lines of known_hosts that say who the hosts are.
ANCHOR_SSH_KEY, ANCHOR_SSH_HOSTS = env("ANCHOR_SSH_KEY"), env("ANCHOR_SSH_HOSTS")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "channels",
    "django_rq",
    "drportal",
    "drportal.people",
    "drportal.inventory",
    "drportal.recovery",
    "drportal.watch",
    "drportal.audit",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "drportal.security.ContentSecurityPolicyMiddleware",
    "drportal.security.NothingKeptMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "drportal.urls"
ASGI_APPLICATION = "drportal.asgi.application"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {}}]

DATABASES = {"default": database(env("DATABASE_URL", f"sqlite:///{BASE_DIR / 'var' / 'drportal.sqlite3'}"))}
REQUESTS_PER_MINUTE = int(env("REQUESTS_PER_MINUTE", "3000"))  # of a person; 0: any number
REQUESTS_AT_ONCE = int(env("REQUESTS_AT_ONCE", "40"))  # in each web process; the others wait
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:6379/0")
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        # A Redis that hangs (and does not refuse) must not hold a socket: less than events.SEND_DEADLINE_S, so that its
        # client gives up by itself and is not cancelled in the middle of a conversation.
        "CONFIG": {
            "hosts": [{"address": REDIS_URL, "socket_timeout": 1.5, "socket_connect_timeout": 1.5}],
            "prefix": "drportal-live",
        },
    }
}
# JSON, never pickle: whoever can write to Redis must not be able to run code here.
RQ = {"SERIALIZER": "rq.serializers.JSONSerializer"}
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": timeout_s, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name, timeout_s in {"recovery": 24 * 3600, "default": 600}.items()
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# Second factors (people/factors.py, with the parts of django-allauth). TOTP_TOLERANCE: a telephone's clock may be half
# a minute off. Roles whose people can do nothing until they have a second factor, comma separated.
MFA_ADAPTER = "drportal.people.factors.FactorAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_TOLERANCE = 1
REQUIRE_MFA = roles_named(env("REQUIRE_MFA"))
# Sign-in by an identity provider (people/oidc.py). Without an issuer there is none.
OIDC_ISSUER = issuer_named(env("OIDC_ISSUER"))
OIDC_NAME = env("OIDC_NAME", "single sign-on")
OIDC_CLIENT_ID = env("OIDC_CLIENT_ID")
OIDC_CLIENT_SECRET = env("OIDC_CLIENT_SECRET")
OIDC_SCOPES = env("OIDC_SCOPES", "openid profile").split()
OIDC_NAME_CLAIM = env("OIDC_NAME_CLAIM", "preferred_username")
OIDC_GROUPS_CLAIM = env("OIDC_GROUPS_CLAIM", "groups")
OIDC_ROLES = roles_by_group(env("OIDC_ROLES"))
# What becomes of somebody who is in no group that is named there: refused, or a viewer.
OIDC_NO_GROUP = env("OIDC_NO_GROUP", "refused")
OIDC_SESSION = timedelta(minutes=max(5, int(env("OIDC_SESSION_MINUTES", "480"))))
OIDC_TOKENS = timedelta(days=max(1, int(env("OIDC_TOKEN_DAYS", "7"))))
if OIDC_ISSUER and not OIDC_CLIENT_ID:
    raise ImproperlyConfigured("DRPORTAL_OIDC_ISSUER is set, and DRPORTAL_OIDC_CLIENT_ID is not.")
if OIDC_NO_GROUP not in {"refused", "viewer"}:
    raise ImproperlyConfigured("DRPORTAL_OIDC_NO_GROUP is refused or viewer.")

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
HTTPS = env("HTTPS") == "1"
if HTTPS:
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = env("STATIC_ROOT", str(BASE_DIR / "var" / "static"))
WHITENOISE_USE_FINDERS = True
# Vite puts a content hash into every name under assets/, so those may be kept for ever.
WHITENOISE_IMMUTABLE_FILE_TEST = r"^/static/app/assets/.+-[A-Za-z0-9_-]{8,}\.\w+$"

# The poller and the executor. Seconds.
POLL_INTERVAL_S = float(env("POLL_INTERVAL", "5"))
LEASE_S = float(env("LEASE", "10"))
SWEEP_INTERVAL_S = float(env("SWEEP_INTERVAL", "15"))
# Where people reach the portal (https://dr.example.org), for links in messages; empty: messages carry none.
PUBLIC_URL = env("PUBLIC_URL")
# Forced promotion: how many people other than the requester must say yes, and how long a request stands.
# How often both sites of a pair are read whole; between, the poller reads what changes.
DISCOVER_MINUTES = max(5, int(env("DISCOVER_MINUTES", "60")))
APPROVALS_NEEDED = max(1, int(env("APPROVALS_NEEDED", "1")))
APPROVAL_MINUTES = max(1, int(env("APPROVAL_MINUTES", "15")))
# Whether one person alone may begin a disaster failover when nobody else can be reached; the plan is locked afterwards.
BREAK_GLASS = env("BREAK_GLASS", "1") == "1"
# Of the fence: below what its plan wants a run goes on for a reason; below this rung for none.
LEAST_FENCE_RUNG = min(5, max(1, int(env("LEAST_FENCE_RUNG", "1"))))
SITE_SESSIONS = int(env("SITE_SESSIONS", "8"))
# Acts that the site program is asked to have under way at the same time; never more than the site's own limit.
ACTS_AT_ONCE = int(env("ACTS_AT_ONCE", "16"))
if not 1 <= ACTS_AT_ONCE <= 64:
    raise ImproperlyConfigured("DRPORTAL_ACTS_AT_ONCE must be from 1 to 64")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"asyncssh": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
