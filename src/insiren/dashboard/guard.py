"""Who may read: the right host name, a token where the page leaves the machine, and GET alone."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Plotly positions its drawings by style attributes and draws maps as data: images; scripts come from files alone.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_YEAR = 31_536_000  # seconds


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def own_names(host: str) -> frozenset[str]:
    """Names that a browser may use for this machine; addresses in numbers are accepted anyway."""
    name = socket.gethostname()
    return frozenset(n.lower() for n in ("localhost", host, name, name.partition(".")[0], socket.getfqdn()))


class Guard:
    """Answers only who may read, and says to browsers what the page may load."""

    def __init__(self, app: ASGIApp, names: frozenset[str], token: str | None) -> None:
        self.app, self.names, self.token = app, names, token
        self.cookie = f"insiren_{hashlib.sha256((token or '').encode()).hexdigest()[:8]}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # nothing else, such as a websocket, is spoken here

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await (self._refusal(scope) or self.app)(scope, receive, sealed)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to who may not read; None to let the request pass."""
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            said = f"{scope['method']} is not possible: the page only shows; it changes nothing."
            return PlainTextResponse(said, 405, {"Allow": "GET, HEAD"})
        if not self._known(headers.getlist("host")):
            said = (
                "This address names a host that is not this machine, so the request is refused: a foreign site could "
                "pose as it. Use localhost, the machine's own name, or its address in numbers."
            )
            return PlainTextResponse(said, 421)
        return None if self.token is None else self._without_token(scope, headers, self.token)

    def _known(self, hosts: list[str]) -> bool:
        if len(hosts) != 1:
            return False
        name, _, port = hosts[0].rpartition(":") if not hosts[0].endswith("]") else (hosts[0], "", "")
        name = name if name and port.isdecimal() else hosts[0]
        try:  # a rebound name needs a name: numbers cannot be rebound
            ipaddress.ip_address(name.strip("[]"))
            return True
        except ValueError:
            return name.lower().rstrip(".") in self.names

    def _without_token(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = next((value for name, value in query if name == "token"), None)
        if given is not None and _same(given, token):
            if scope["path"] != "/":
                return None
            # Out of the address bar and of the history, into a cookie that scripts cannot read.
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            home = RedirectResponse(f"./?{rest}" if rest else "./", 303)
            home.set_cookie(self.cookie, token, max_age=_YEAR, httponly=True, samesite="lax")
            return home
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and _same(bearer.strip(), token):
            return None
        if _same(_cookies(headers).get(self.cookie, ""), token):
            return None
        said = "This page needs its token: open the address that was printed at its start, which ends in ?token=…"
        return PlainTextResponse(said, 401, {"WWW-Authenticate": "Bearer"})


def _same(given: str, token: str) -> bool:
    return hmac.compare_digest(given.encode(), token.encode())


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        return {name: one.value for name, one in SimpleCookie(headers.get("cookie", "")).items()}
    except CookieError:
        return {}
