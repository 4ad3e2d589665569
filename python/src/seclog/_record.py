"""record_security_event(), for the one client of an application."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import Any, Mapping, Optional, Union

from ._client import Client, SeclogError
from ._facts import facts_of
from ._types import EventType, Level, Outcome

_client: Optional[Client] = None


def configure(
    url: str | None = None,
    *,
    token: str | None = None,
    spool: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Client:
    """Opens the client that record_security_event() uses.

    Without arguments, the environment says: ``SECLOG_COLLECTOR_URL``, ``SECLOG_COLLECTOR_TOKEN`` or
    ``SECLOG_COLLECTOR_TOKEN_FILE``, ``SECLOG_SPOOL``. ``options`` are those of :class:`Client`.
    """
    global _client
    url = url or os.environ.get("SECLOG_COLLECTOR_URL")
    spool = spool or os.environ.get("SECLOG_SPOOL")
    token = token or _token()
    for name, value in (("url", url), ("token", token), ("spool", spool)):
        if not value:
            raise SeclogError(f"seclog.configure: no {name}: pass it, or set its variable")
    assert url and token and spool
    opened = Client(url, token, spool, **options)
    if _client is not None:
        _client.close()
    _client = opened
    return opened


def _token() -> str | None:
    file = os.environ.get("SECLOG_COLLECTOR_TOKEN_FILE")
    if file:
        with open(file, encoding="utf-8") as opened:
            return opened.read().strip()
    return os.environ.get("SECLOG_COLLECTOR_TOKEN")


def record_security_event(
    event_type: Union[EventType, str],
    request: Any = None,
    *,
    level: Optional[Level] = None,
    outcome: Optional[Outcome] = None,
    actor_id: Optional[object] = None,
    **data: Any,
) -> bool:
    """Records what happened, and never waits: ``record_security_event("authz_fail", request, userid=user.pk)``.

    :param request: of Django, Flask or Starlette, or a mapping of columns: its method, path, address and so on
    :param level: by default the catalogue's for the type
    :param data: what else belongs to the event. Names of columns, such as ``status_code``, go there
    :returns: ``False`` if the event was dropped, since memory and disk are full
    """
    if _client is None:
        raise SeclogError("seclog.configure() was not called: call it once, when the application starts")
    own = {"level": level, "outcome": outcome, "actor_id": None if actor_id is None else str(actor_id)}
    return _client.record(event_of(event_type, {**facts_of(request), **data, **own}))


def event_of(event_type: str, members: Mapping[str, Any], at: float | None = None) -> dict[str, Any]:
    """The event as the collector reads it. It says when it happened: it may be sent hours later."""
    moment = datetime.now(timezone.utc) if at is None else datetime.fromtimestamp(at, timezone.utc)
    given = {name: value for name, value in members.items() if value is not None}
    return {**given, "event_type": event_type, "occurred_at": moment.isoformat(timespec="milliseconds")}


def client() -> Optional[Client]:
    """The application's client, if there is one."""
    return _client


def flush(timeout: float | None = None) -> bool:
    """Waits until the collector has everything recorded so far."""
    return _client is None or _client.flush(timeout)


def close(timeout: float | None = None) -> bool:
    """Ends the client; the interpreter's exit does it, too."""
    global _client
    ended, _client = _client, None
    return ended is None or ended.close(timeout)
