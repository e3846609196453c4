"""The site program as the one file that is sent or installed. The only module here that runs in the portal."""

from __future__ import annotations

import functools
import re
from pathlib import Path

MODULES = (
    "wire",
    "store",
    "deposits",
    "encoding",
    "clients",
    "connection",
    "judging",
    "unopened",
    "librbd",
    "exports",
    "copies",
    "measuring",
    "reach",
    "freeing",
    "acts",
    "turns",
    "news",
    "refusals",
    "serve",
)
_OWN_IMPORT = re.compile(r"^from drportal\.site_program\.\w+ import (\([^)]*\)|[^\n(]*)\n", re.MULTILINE)
_HEAD = '''\
#!/usr/bin/python3
"""DR Portal's program at a site. Its protocol and its arguments: docs/site-program.md of the portal."""
'''


@functools.cache
def program_text() -> str:
    """The modules one after the other, without the imports between them."""
    folder = Path(__file__).parent
    return "\n".join([_HEAD, *(_OWN_IMPORT.sub("", (folder / f"{name}.py").read_text()) for name in MODULES)])


@functools.cache
def installer_text() -> str:
    """What puts it into a login's home."""
    return (Path(__file__).parent / "installer.py").read_text()


INSTALLED_BY_HAND = "/usr/local/lib/drportal-site.py"


def witness_options() -> str:
    """What stands before the key of a witness in ``authorized_keys``: it looks at addresses, and nothing else."""
    return f'restrict,command="/usr/bin/python3 -I {INSTALLED_BY_HAND} --rights look"'
