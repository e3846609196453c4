"""Puts the site program into a login's home, and takes it out again. Runs at the site, once, and prints one JSON line.

Standard library only, Python 3.6 or later. It writes three things and nothing else: the program's file, its state
directory, and its own two lines of ``~/.ssh/authorized_keys``, each whole or not at all. Receipts are never removed.
"""

import hashlib
import json
import os
import re
import sys
from typing import Any, Dict, List

Json = Dict[str, Any]

PROGRAM = os.path.join(".local", "lib", "drportal-site", "drportal-site.py")
STATE = ".drportal-site"
RIGHTS = ("read", "act")
_MARK = re.compile(r" drportal-site:(?:read|act)$")
_WORD = re.compile(r"[A-Za-z0-9_./=-]+")


def _write(path: str, text: str, mode: int) -> None:
    """Whole or not at all, also when the power goes."""
    temporary = "%s.%d.new" % (path, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        os.write(fd, text.encode("utf-8"))
        os.fsync(fd)
    finally:
        os.close(fd)
    os.chmod(temporary, mode)
    os.rename(temporary, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8")
    except FileNotFoundError:
        return ""


def _key_line(home: str, python: str, rights: str, key: str, arguments: List[str]) -> str:
    words = [python, "-I", os.path.join(home, PROGRAM), "--rights", rights] + arguments
    words += ["--state", os.path.join(home, STATE)]
    for word in words:
        if _WORD.fullmatch(word) is None:
            raise ValueError("%r can't stand in a forced command" % word)
    kind, body = key.split()[:2]
    return 'restrict,command="%s" %s %s drportal-site:%s' % (" ".join(words), kind, body, rights)


def _set_keys(home: str, lines: List[str]) -> None:
    folder = os.path.join(home, ".ssh")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "authorized_keys")
    others = [line for line in _read(path).splitlines() if not _MARK.search(line)]
    _write(path, "".join(line + "\n" for line in others + lines), 0o600)


def _told(home: str) -> Json:
    path = os.path.join(home, PROGRAM)
    text = _read(path)
    keys = [line for line in _read(os.path.join(home, ".ssh", "authorized_keys")).splitlines() if _MARK.search(line)]
    receipts = os.path.join(home, STATE, "ops")
    return {
        "path": path,
        "sha256": hashlib.sha256(text.encode("utf-8")).hexdigest() if text else None,
        "keys": keys,
        "state": os.path.join(home, STATE),
        "receipts": len(os.listdir(receipts)) if os.path.isdir(receipts) else 0,
    }


def perform(request: Json, home: str) -> Json:
    """``request``: ``do`` (install, upgrade, uninstall, show) and, as it needs, ``program``, ``keys`` (rights -> public
    key) and ``arguments`` (of the program). Raises OSError, ValueError: what was there before is there still."""
    do, path = request["do"], os.path.join(home, PROGRAM)
    if do in ("install", "upgrade"):
        os.makedirs(os.path.join(home, STATE), mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        lines = (
            [
                _key_line(home, sys.executable, rights, request["keys"][rights], request["arguments"])
                for rights in RIGHTS
            ]
            if do == "install"
            else []
        )
        if do == "upgrade" and not os.path.exists(path):
            raise ValueError("nothing is installed in %s" % home)
        _write(path, request["program"], 0o644)
        if lines:
            _set_keys(home, lines)
    elif do == "uninstall":
        _set_keys(home, [])
        if os.path.exists(path):
            os.unlink(path)
    elif do != "show":
        raise ValueError("there is nothing like %r to be done" % (do,))
    return _told(home)


def answer(request: str, home: str) -> str:
    """The line that is printed."""
    try:
        return json.dumps({"ok": True, "site": perform(json.loads(request), home)})
    except (OSError, ValueError, KeyError, TypeError) as error:
        return json.dumps({"ok": False, "text": "%s: %s" % (type(error).__name__, error)})


if __name__ == "__main__":
    os.umask(0o077)
    sys.stdout.write(answer(sys.argv[1], os.path.realpath(os.path.expanduser("~"))) + "\n")
