"""Handing a message to somebody else's server: bounded, never redirected, and only where it may go (docs/adr/0010)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import httpx2

from patchflow.kernel.addresses import Resolver, refusal, resolve
from patchflow.kernel.blockers import english

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 10.0


class NotPosted(Exception):
    """The message got no answer. Its text says what happened; `final`: trying again is of no use until a person mends it."""

    def __init__(self, sentence: str, *, final: bool = False) -> None:
        super().__init__(sentence)
        self.final = final


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said: its status, after how many milliseconds. Its body is not read."""

    status: int
    milliseconds: int

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300


def checked(text: str) -> httpx2.URL:
    """The address, if a message may be sent to one like it. Raises NotPosted."""
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, ValueError):
        raise NotPosted(english("This is no address."), final=True) from None
    if url.scheme not in ("http", "https") or not url.host:
        raise NotPosted(english("It must be an http or https address."), final=True)
    if url.userinfo:
        raise NotPosted(
            english("An address with a password would be shown to everybody who reads it: take it out."), final=True
        )
    return url


def post(
    address: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, resolver: Resolver = resolve
) -> Answer:
    """Posts `body`. The name is resolved once, every address that it has is judged, and the connection goes to the judged one;
    a redirect is an answer like any other and is not followed. Raises NotPosted."""
    return _sent("POST", address, body, headers, allow_private=allow_private, resolver=resolver)


def knock(address: str, *, allow_private: bool, resolver: Resolver = resolve) -> Answer:
    """Asks whether anybody answers there, as carefully as `post`; whatever the answer is. Raises NotPosted."""
    return _sent("GET", address, b"", {}, allow_private=allow_private, resolver=resolver)


def _sent(
    method: str, address: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool, resolver: Resolver
) -> Answer:
    url = checked(address)
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        addresses = resolver(url.host, port)
    except (OSError, UnicodeError) as error:
        raise NotPosted(english("%(host)s has no address (%(error)s).", host=url.host, error=error)) from None
    if not addresses:
        raise NotPosted(english("%(host)s has no address.", host=url.host))
    for one in addresses:
        if why := refusal(one, allow_private=allow_private):
            raise NotPosted(f"{url.host} is refused: {why}.", final=True)
    begun = time.monotonic()
    timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    try:
        with httpx2.Client(timeout=timeout, trust_env=False, follow_redirects=False) as client:
            request = client.build_request(
                method,
                url.copy_with(host=addresses[0]),
                content=body or None,
                headers={**headers, "Host": url.netloc.decode("ascii"), "User-Agent": "Patchflow"},
                extensions={"sni_hostname": url.host},
            )
            response = client.send(request, stream=True)
            try:
                return Answer(response.status_code, int((time.monotonic() - begun) * 1000))
            finally:
                response.close()
    except httpx2.HTTPError as error:
        raise NotPosted(
            english("%(host)s did not answer (%(error)s).", host=url.host, error=type(error).__name__)
        ) from None
