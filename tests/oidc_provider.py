"""A small OpenID Connect provider on loopback: real HTTP, real keys, authorization code with PKCE, refresh tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa


class Provider(ThreadingHTTPServer):
    """Attributes:
    lies: parts of the next answers that are to be wrong, by name: `iss`, `nonce`, `state`, `error`, `refresh`.
    asked: how often each path was requested.
    seconds: how long its tokens are valid.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        self.lies: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.seconds = 600
        self.codes: dict[str, dict[str, str]] = {}
        self.refresh_tokens: set[str] = set()

    def document(self) -> dict[str, Any]:
        names = {"authorization": "authorize", "token": "token", "end_session": "logout"}
        endpoints = {f"{name}_endpoint": f"{self.url}/{path}" for name, path in names.items()}
        return {
            "issuer": self.url, "jwks_uri": f"{self.url}/keys", **endpoints,
            "authorization_response_iss_parameter_supported": True,
        }  # fmt: skip

    def jwks(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**public, "kid": "one", "alg": "RS256"}]}

    def sign(self, **claims: Any) -> str:
        now = int(time.time())
        body = {"iss": self.url, "sub": "user-7", "iat": now, "exp": now + self.seconds, "jti": secrets.token_hex(4)}
        return jwt.encode({**body, **claims}, self.key, "RS256", {"kid": "one"})

    def redirect(self, asked: dict[str, str]) -> str:
        """Where a browser goes that has been signed in."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        answer = {"code": code, "state": asked["state"], "iss": self.url}
        answer |= {name: value for name, value in self.lies.items() if name in ("iss", "state")}
        if error := self.lies.get("error"):
            answer = {"error": error, "state": asked["state"], "iss": self.url}
        return f"{asked['redirect_uri']}?{urlencode(answer)}"

    def tokens(self, sent: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if sent["grant_type"] == "refresh_token":
            if sent["refresh_token"] not in self.refresh_tokens or "refresh" in self.lies:
                return 400, {"error": "invalid_grant", "error_description": "the session has ended"}
            self.refresh_tokens.discard(sent["refresh_token"])  # each is used once
            nonce = ""
        else:
            asked = self.codes.pop(sent["code"], {})
            digest = hashlib.sha256(sent.get("code_verifier", "").encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            right = asked.get("code_challenge_method") == "S256" and asked.get("code_challenge") == challenge
            same = all(asked.get(name) == sent.get(name) for name in ("client_id", "redirect_uri"))
            if not right or not same:
                return 400, {"error": "invalid_grant"}
            nonce = self.lies.get("nonce", asked["nonce"])
        refresh = secrets.token_urlsafe(16)
        self.refresh_tokens.add(refresh)
        named = {"aud": sent["client_id"], "name": "Anna Seven", **({"nonce": nonce} if nonce else {})}
        return 200, {
            "access_token": self.sign(aud="dask", scope="openid submit read cancel"),
            "id_token": self.sign(**named), "refresh_token": refresh, "expires_in": self.seconds,
            "token_type": "Bearer",
        }  # fmt: skip


class Answers(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.server.asked[parts.path] += 1
        if parts.path == "/authorize":
            asked = dict(parse_qsl(parts.query))
            page = f'<!doctype html><title>Provider</title><a href="{self.server.redirect(asked)}">Continue</a>'
            self._answer(200, page.replace("&", "&amp;").encode(), "text/html")
        elif parts.path == "/logout":
            [back] = parse_qs(parts.query)["post_logout_redirect_uri"]
            self.send_response(302)
            self.send_header("Location", back)
            self.end_headers()
        else:
            found = self.server.jwks() if parts.path == "/keys" else self.server.document()
            self._answer(200, json.dumps(found).encode())

    def do_POST(self) -> None:
        self.server.asked[self.path] += 1
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        status, answer = self.server.tokens(dict(parse_qsl(body)))
        self._answer(status, json.dumps(answer).encode())

    def _answer(self, status: int, body: bytes, media_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing."""


@contextmanager
def provider() -> Iterator[Provider]:
    with Provider() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()
