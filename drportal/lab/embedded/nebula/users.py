"""Who calls, and what they may do: sessions, ownership and locks.

Members of group 0 (oneadmin) may do everything; anybody else only what they own. Measured on 7.5.80: too few rights
make a pool look empty, they do not make it fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .errors import AUTHENTICATION, AUTHORIZATION, NebulaError, no_such
from .syntax import cdata, plain

USE: Final = "USE"
MANAGE: Final = "MANAGE"
ADMIN: Final = "ADMIN"

_LEVEL_OF: Final = {USE: 1, MANAGE: 2, ADMIN: 3}


@dataclass(frozen=True, slots=True)
class User:
    id: int
    gid: int
    name: str
    group: str
    password: str

    @property
    def is_admin(self) -> bool:
        return self.gid == 0

    def xml(self) -> str:
        # The password field holds a hash at a real server; nobody may read one here either.
        return (
            f"<USER><ID>{self.id}</ID><GID>{self.gid}</GID><GROUPS><ID>{self.gid}</ID></GROUPS>"
            f"<GNAME>{plain(self.group)}</GNAME><NAME>{plain(self.name)}</NAME><PASSWORD></PASSWORD>"
            f"<AUTH_DRIVER>{cdata('core')}</AUTH_DRIVER><ENABLED>1</ENABLED><TEMPLATE></TEMPLATE>"
            "<DATASTORE_QUOTA></DATASTORE_QUOTA><NETWORK_QUOTA></NETWORK_QUOTA><VM_QUOTA></VM_QUOTA>"
            "<IMAGE_QUOTA></IMAGE_QUOTA></USER>"
        )


@dataclass(slots=True)
class Lock:
    """`level`: 1 blocks use and everything above, 2 manage and admin, 3 admin only."""

    level: int
    owner: int
    time: int
    request_id: int

    def xml(self) -> str:
        return (
            f"<LOCK><LOCKED>{self.level}</LOCKED><OWNER>{self.owner}</OWNER><TIME>{self.time}</TIME>"
            f"<REQ_ID>{self.request_id}</REQ_ID></LOCK>"
        )


class Users:
    def __init__(self, users: list[User]) -> None:
        self._by_name = {user.name: user for user in users}
        self._by_id = {user.id: user for user in users}

    def authenticate(self, session: str) -> User:
        """`session` is "name:password"; the password may hold colons."""
        name, separator, password = session.partition(":")
        user = self._by_name.get(name)
        if user is None or not separator or user.password != password:
            raise NebulaError(AUTHENTICATION, "User couldn't be authenticated, aborting call.")
        return user

    def get(self, user_id: int) -> User:
        user = self._by_id.get(user_id)
        if user is None:
            raise no_such("user", user_id)
        return user

    def group_name(self, gid: int) -> str:
        for user in self._by_id.values():
            if user.gid == gid:
                return user.group
        raise no_such("group", gid)


def may(user: User, owner_uid: int) -> bool:
    return user.is_admin or user.id == owner_uid


def authorize(user: User, operation: str, kind: str, object_id: int, owner_uid: int) -> None:
    if not may(user, owner_uid):
        text = f"User [{user.id}] : Not authorized to perform {operation} {kind} [{object_id}]."
        raise NebulaError(AUTHORIZATION, text)


def check_lock(user: User, operation: str, kind: str, object_id: int, lock: Lock | None) -> None:
    """A lock stops everybody, its owner and uid 0 included; only the unlock call is free."""
    if lock is not None and lock.level <= _LEVEL_OF[operation]:
        raise NebulaError(AUTHORIZATION, f"User [{user.id}] : {kind} is locked. [{object_id}].")


def lock_level(requested: int) -> int:
    """one.<object>.lock takes 1 USE, 2 MANAGE, 3 ADMIN, 4 ALL; ALL is kept as 1 (measured)."""
    return 1 if requested == 4 else requested


PERMISSIONS_XML: Final = (
    "<PERMISSIONS><OWNER_U>1</OWNER_U><OWNER_M>1</OWNER_M><OWNER_A>0</OWNER_A><GROUP_U>0</GROUP_U><GROUP_M>0</GROUP_M>"
    "<GROUP_A>0</GROUP_A><OTHER_U>0</OTHER_U><OTHER_M>0</OTHER_M><OTHER_A>0</OTHER_A></PERMISSIONS>"
)
PERMISSIONS_SHARED_XML: Final = PERMISSIONS_XML.replace("<GROUP_U>0", "<GROUP_U>1")


def owner_xml(user_id: int, gid: int, user_name: str, group_name: str, name: str) -> str:
    return (
        f"<UID>{user_id}</UID><GID>{gid}</GID><UNAME>{plain(user_name)}</UNAME><GNAME>{plain(group_name)}</GNAME>"
        f"<NAME>{plain(name)}</NAME>"
    )


def ids_xml(tag: str, ids: list[int]) -> str:
    return f"<{tag}>" + "".join(f"<ID>{number}</ID>" for number in ids) + f"</{tag}>"
