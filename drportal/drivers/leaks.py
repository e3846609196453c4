"""What a site's programs may print and nobody shall keep: cephx keys and private keys. Taken out where an answer comes
in, so that no row, log, page, message or trail ever has it.

Only what can be told from ordinary output by its form is found: a password looks like any other word.
"""

from __future__ import annotations

import re

LEFT_OUT = "(a key was here; it was left out)"
# Both begin with letters that are searched for as such: a front end's documents are many megabytes, and a pattern that
# has to be tried at each place of them took most of a look at a large site.
# A cephx key is 28 bytes (type, time of creation, length, 16 bytes) in base64, and always begins and ends so.
_CEPHX = re.compile(r"AQ(?<![A-Za-z0-9+/]AQ)[A-Za-z0-9+/]{36}==")
# A private key in PEM or OpenSSH's form, as it is or within JSON; also one whose end is missing.
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----(?:[A-Za-z0-9+/=:,\-\s]|\\[nr])*?"
    r"(?:-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----|(?![A-Za-z0-9+/=:,\-\s\\])|\Z)"
)


def without_keys(text: str) -> str:
    return _CEPHX.sub(LEFT_OUT, _PRIVATE.sub(LEFT_OUT, text))
