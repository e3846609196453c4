"""The settings of sign-in, from words to values; and which roles a person's groups at the identity provider give.

No Django models here: the settings read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml
from django.core.exceptions import ImproperlyConfigured

from drportal.roles import PEOPLE, Role

NEAR = {"localhost", "127.0.0.1", "::1"}


def roles_named(words: str) -> frozenset[Role]:
    """``DRPORTAL_REQUIRE_MFA``: roles of people, comma separated. One that is none would protect nobody."""
    found = [word.strip() for word in words.split(",") if word.strip()]
    return frozenset(_role("DRPORTAL_REQUIRE_MFA", word) for word in found)


def issuer_named(address: str) -> str:
    """``DRPORTAL_OIDC_ISSUER``, as the provider writes it into its tokens. Who can read or change what is said on the
    way can be anybody: only TLS will do, or this very host."""
    if not address:
        return ""
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in NEAR):
        raise ImproperlyConfigured("DRPORTAL_OIDC_ISSUER must begin with https://")
    if parts.query or parts.fragment or len(address) > 200:
        raise ImproperlyConfigured("DRPORTAL_OIDC_ISSUER is an address of at most 200 characters without ? and #")
    return address


def roles_by_group(text: str) -> dict[str, tuple[Role, ...]]:
    """``DRPORTAL_OIDC_ROLES``: YAML, each group of the provider with the role, or the list of roles, that it gives."""
    try:
        read = yaml.safe_load(text) if text else {}
    except yaml.YAMLError as error:
        raise ImproperlyConfigured(f"DRPORTAL_OIDC_ROLES is no YAML: {error}") from None
    if not isinstance(read, dict):
        raise ImproperlyConfigured("DRPORTAL_OIDC_ROLES gives each group a role: `dr-operators: operator`")
    found = {}
    for group, roles in read.items():
        words = roles if isinstance(roles, list) else [roles]
        found[str(group)] = tuple(_role("DRPORTAL_OIDC_ROLES", str(word)) for word in words)
    return found


def _role(setting: str, word: str) -> Role:
    """A service account has tokens and nothing else: it neither signs in nor has a second factor."""
    if word not in {role.value for role in PEOPLE}:
        raise ImproperlyConfigured(f"{setting}: “{word}” is no role of people ({', '.join(PEOPLE)})")
    return Role(word)


def groups_in(claims: Mapping[str, Any], name: str) -> list[str]:
    """The groups in the claim of that name, or, where the name has dots, further within (Keycloak:
    ``realm_access.roles``). What is there in another form counts as no group."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, str):
        found = [found]
    return [group for group in found if isinstance(group, str)] if isinstance(found, list) else []


def roles_given(groups: Iterable[str], table: Mapping[str, tuple[Role, ...]]) -> list[Role]:
    """In the order of the table of roles."""
    given = {role for group in groups for role in table.get(group, ())}
    return [role for role in PEOPLE if role in given]
