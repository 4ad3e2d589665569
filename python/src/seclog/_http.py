"""One connection to the collector. TLS verifies the certificate and the host's name, and nothing turns that off."""

from __future__ import annotations

import http.client
import json
import re
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

_TIMEOUT = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MOST_RESPONSE = 1_000_000


class Answer(NamedTuple):
    status: int
    #: Seconds, if the collector named them.
    retry_after: float | None
    #: How many events it refused one by one, and the first reason.
    refused: int
    reason: str


class Connection:
    """Sends batches, one after the other."""

    def __init__(self, url: str, token: str, cafile: str | None) -> None:
        parts = urlsplit(url)
        host = parts.hostname
        if parts.username is not None or parts.password is not None:
            raise ValueError("the collector's URL has a user name or a password: pass the token as token=")
        if parts.scheme not in ("http", "https") or host is None:
            raise ValueError("the collector's URL is not https://HOST:PORT, or http:// of this machine")
        if parts.scheme == "http" and host not in _LOOPBACK:
            raise ValueError(f"http://{host} would show the token and the events to the network: use https://")
        if not re.fullmatch(r"[\x21-\x7e]+", token.strip()):
            raise ValueError("the token is empty, or not the one line that seclog tokens create printed")
        self._host, self._port = host, parts.port
        self._path = parts.path.rstrip("/") + "/v1/events"
        self._headers = {"Authorization": f"Bearer {token.strip()}", "Content-Type": "application/x-ndjson"}
        self._tls = ssl.create_default_context(cafile=cafile) if parts.scheme == "https" else None
        self._open: http.client.HTTPConnection | None = None

    def send(self, body: bytes, key: str) -> Answer:
        """Posts a batch. Raises OSError or HTTPException when there is no answer: it may have been recorded or not."""
        connection = self._open or self._connection()
        self._open = None
        try:
            connection.request("POST", self._path, body, {**self._headers, "Idempotency-Key": key})
            response = connection.getresponse()
            text = response.read(_MOST_RESPONSE)
        except BaseException:
            connection.close()
            raise
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._open = connection
        refused, reason = _outcome(text)
        return Answer(response.status, _seconds(response.getheader("Retry-After")), refused, reason)

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
        return http.client.HTTPSConnection(self._host, self._port, timeout=_TIMEOUT, context=self._tls)

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _outcome(text: bytes) -> tuple[int, str]:
    try:
        body = json.loads(text)
        items = body.get("items") or [{}]
        return int(body.get("refused", 0)), str(items[0].get("message") or body.get("error") or "")[:500]
    except (ValueError, AttributeError, TypeError, LookupError):
        return 0, ""


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdigit() else None
