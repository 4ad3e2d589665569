"""A handler for ``logging``: a record becomes an event.

Its ``extra`` fields are columns or data. The type is ``event_type`` of ``extra``, or the message if it has the form of
one, or ``logged_message``.
"""

from __future__ import annotations

import logging
import re
from typing import Any

from . import _record
from ._facts import facts_of

_TYPE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
#: What every record has, and ``request``, which is read, not sent.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request", "event_type"}


class SeclogHandler(logging.Handler):
    """Sends records by the client of seclog.configure(); records from before are dropped."""

    def emit(self, record: logging.LogRecord) -> None:
        client = _record.client()
        # The package's own reports: one that cannot be sent would cause the next.
        if client is None or record.name == "seclog":
            return
        try:
            client.record(self.event(record))
        except Exception:
            self.handleError(record)

    def event(self, record: logging.LogRecord) -> dict[str, Any]:
        """The event of a record. A subclass may change it."""
        message = record.getMessage()
        extra = {name: value for name, value in vars(record).items() if name not in _OWN}
        named = getattr(record, "event_type", None)
        event_type = named or (message if _TYPE.fullmatch(message) else "logged_message")
        members = {
            **facts_of(getattr(record, "request", None)),
            "level": record.levelname.lower() if record.levelname in logging._nameToLevel else None,
            "logger": record.name,
            **({} if message == event_type else {"message": message}),
            # The class alone: a traceback has values of variables in its lines.
            **({"error": record.exc_info[0].__name__} if record.exc_info and record.exc_info[0] else {}),
            **extra,
        }
        if members["level"] not in ("debug", "info", "warning", "error", "critical"):
            del members["level"]
        return _record.event_of(event_type, members, record.created)
