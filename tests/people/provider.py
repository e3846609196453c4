"""A real OpenID provider as a process: oidc-provider-mock, with PKCE and the time of the sign-in in its tokens.

    python -m tests.people.provider PORT

It asks nobody for a password: whoever is named in the form of its page is signed in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from drportal.demo import free_port
from tests.stack import Program, wait_until

CLIENT = {"OIDC_CLIENT_ID": "dr-portal", "OIDC_CLIENT_SECRET": "planted-31c9-oidc"}


class OidcProvider:
    def __init__(self, log: Path) -> None:
        port = free_port()
        self.issuer = f"http://localhost:{port}"
        self.program = Program("provider", [sys.executable, "-m", "tests.people.provider", str(port)], {}, log)

    def says(self, subject: str, **claims: Any) -> None:
        answer = requests.put(f"{self.issuer}/users/{subject}", json=claims, timeout=10)
        assert answer.status_code < 300, answer.text

    def sign_in(self, address: str, subject: str) -> str:
        """What a browser does there: the address that it sends back to, with its code."""
        answer = requests.post(address, data={"sub": subject}, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def up(self) -> bool:
        with contextlib.suppress(requests.ConnectionError):
            return requests.get(f"{self.issuer}/.well-known/openid-configuration", timeout=5).status_code == 200
        return False


@contextlib.contextmanager
def running(log: Path) -> Iterator[OidcProvider]:
    provider = OidcProvider(log)
    provider.program.start()
    try:
        wait_until("the provider answers", provider.up, 30)
        yield provider
    finally:
        provider.program.stop(5)


def serve(port: int) -> None:
    import flask
    from oidc_provider_mock import _storage, app
    from werkzeug.serving import WSGIRequestHandler, make_server

    # A code is made when its owner has just been asked.
    _storage.AuthorizationCode.get_auth_time = lambda code: int(time.time())  # type: ignore[method-assign]
    program, challenges = app(require_nonce=True), {}

    @program.after_request
    def keep_challenge(response: Any) -> Any:
        """The mock leaves out PKCE (RFC 7636)."""
        for code in parse_qs(urlsplit(response.headers.get("Location", "")).query).get("code", []):
            challenges[code] = flask.request.args["code_challenge"]
        return response

    @program.before_request
    def hold_verifier_against_it() -> Any:
        if flask.request.path != "/oauth2/token":
            return None
        digest = hashlib.sha256(flask.request.form.get("code_verifier", "").encode()).digest()
        fits = challenges.get(flask.request.form["code"]) == base64.urlsafe_b64encode(digest).decode().rstrip("=")
        return None if fits else (flask.jsonify({"error": "invalid_grant"}), 400)

    class Quiet(WSGIRequestHandler):
        def log_request(self, *args: Any) -> None:
            pass

    make_server("localhost", port, program, threaded=True, request_handler=Quiet).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
