"""VM templates, as stored (one.template.*)."""

from __future__ import annotations

from dataclasses import dataclass

from .syntax import Template
from .users import PERMISSIONS_XML, Lock, User, owner_xml


@dataclass(slots=True)
class VmTemplate:
    id: int
    user: User
    name: str
    regtime: int
    template: Template
    lock: Lock | None = None

    def xml(self) -> str:
        user = self.user
        return (
            f"<VMTEMPLATE><ID>{self.id}</ID>{owner_xml(user.id, user.gid, user.name, user.group, self.name)}"
            f"{self.lock.xml() if self.lock else ''}{PERMISSIONS_XML}<REGTIME>{self.regtime}</REGTIME>"
            f"{self.template.xml('TEMPLATE')}</VMTEMPLATE>"
        )
