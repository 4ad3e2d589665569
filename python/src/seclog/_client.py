"""From the call to the collector.

A call puts the event's line into memory and returns: no request waits for the disk or the network. A thread writes what
is there to the spool as one batch (within some milliseconds: what a killed process had in memory is lost), and sends the
spool's batches. A batch keeps its key, so the collector records it once however often it is sent.

Memory and disk are bounded. When the collector has been away for so long that both are full, new events are dropped,
counted in ``dropped`` and reported by the logger ``seclog``.
"""

from __future__ import annotations

import atexit
import http.client
import json
import logging
import os
import random
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from ._http import Answer, Connection
from ._spool import Spool

#: Reports what goes wrong. SeclogHandler leaves its records out, or a report would cause the next one.
reports = logging.getLogger("seclog")

_LINGER = 0.02
#: While the collector is away, so that an hour of it does not leave a hundred thousand files.
_LINGER_AWAY = 0.5
_BATCH_EVENTS = 1_000
_BATCH_BYTES = 1_000_000
_EVENT_BYTES = 64_000
_LONGEST_WAIT = 30.0
_LOOK_FOR_OTHERS = 5.0
_REPORT_EVERY = 60.0
#: The answers that another try would not change. 401 is not among them: the token can be made valid.
_PERMANENT = (400, 403, 409, 413, 415, 422)


class SeclogError(Exception):
    """An event that cannot be recorded, or a call in the wrong order."""


class Client:
    """Sends the events of this process. After a fork, the child has a spool and a thread of its own.

    :param url: the collector, ``https://HOST:PORT``, or ``http://`` on this machine
    :param token: of ``seclog tokens create``
    :param spool: a folder of this application, on a local disk; several processes share it
    :param cafile: the authority of the collector's certificate, if it is not a public one
    :param max_memory: bytes of events that are not on disk yet
    :param max_disk: bytes of the spool, of all processes
    """

    def __init__(
        self,
        url: str,
        token: str,
        spool: str | os.PathLike[str],
        *,
        cafile: str | None = None,
        max_memory: int = 8_000_000,
        max_disk: int = 256_000_000,
        exit_timeout: float = 5.0,
    ) -> None:
        self._args = (url, token, cafile)
        self._connection = Connection(*self._args)
        self._directory, self._max_disk = spool, max_disk
        self._max_memory = max_memory
        self._exit_timeout = exit_timeout
        # A spool that cannot be opened shows here, and not in the first request.
        self._spool: Spool | None = Spool(spool, max_disk)
        self._closed = False
        self._begin()
        # At once: another process may have left events.
        self._start()
        itself = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forked(itself))
        atexit.register(_at_exit, itself)

    def _begin(self) -> None:
        """The state of one process."""
        self._condition = threading.Condition(threading.Lock())
        self._lines: deque[bytes] = deque()
        self._memory = 0
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._idle = False
        self._reported = 0.0
        #: Events that were dropped because memory and disk were full, or that the collector refused.
        self.dropped = 0
        self.refused = 0

    def record(self, event: dict[str, Any]) -> bool:
        """Takes an event: a mapping of columns, ``event_type`` among them. ``False`` if it was dropped. Never waits."""
        line = _line(event)
        with self._condition:
            if self._closed or self._memory + len(line) > self._max_memory:
                self.dropped += 1
                dropped = self.dropped
            else:
                self._lines.append(line)
                self._memory += len(line)
                self._idle = False
                self._start()
                self._condition.notify_all()
                return True
        self._report("memory and disk are full: %d events were dropped so far", dropped)
        return False

    def _start(self) -> None:
        # A thread that ended by an unforeseen error is replaced by the next event.
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="seclog", daemon=True)
            self._thread.start()

    def flush(self, timeout: float | None = None) -> bool:
        """Waits until the collector has everything recorded so far. ``False`` if it has not within ``timeout`` seconds."""
        with self._condition:
            if self._thread is None:
                return not self._lines
            return self._condition.wait_for(lambda: self._idle, timeout)

    def close(self, timeout: float | None = None) -> bool:
        """Ends. What the collector has not got by then stays on disk for the next process; ``False`` if anything does."""
        with self._condition:
            if self._closed:
                return True
            self._closed = True
            thread = self._thread
        done = self.flush(self._exit_timeout if timeout is None else timeout)
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        if thread is not None:
            # It ends at once, unless it waits for the collector: what it leaves undone is on disk.
            thread.join(max(1.0, self._exit_timeout))
        elif self._spool is not None:
            self._spool.close()
        return done

    # Below here, all but _report runs in the thread.

    def _run(self) -> None:
        if self._spool is None:
            try:
                self._spool = Spool(self._directory, self._max_disk)
            except OSError as error:
                self._report("the spool cannot be opened: %s", error)
                with self._condition:
                    self._thread = None
                return
        spool = self._spool
        pending = deque(self._try(spool.own) or [])
        wait, send_at, look_at = 0.0, 0.0, 0.0
        while True:
            if time.monotonic() >= look_at:
                pending.extend(self._try(spool.look) or [])
                look_at = time.monotonic() + _LOOK_FOR_OTHERS
            written = self._write(spool, pending)
            if pending and time.monotonic() >= send_at:
                pause = self._send(spool, pending[0])
                if pause is None:
                    pending.popleft()
                    wait = 0.0
                else:
                    wait = min(_LONGEST_WAIT, max(0.1, wait * 2))
                    send_at = time.monotonic() + max(pause, wait * random.uniform(0.5, 1))
                if pause is None and pending and not self._stopping:
                    continue
            with self._condition:
                if self._stopping and (not self._lines or not written):
                    break
                self._idle = not self._lines and not pending
                if self._idle:
                    self._condition.notify_all()
                due = min(look_at, send_at) if pending else look_at
                if not self._lines or not written:
                    self._condition.wait(max(0.01, due - time.monotonic()))
            # Lets a few events gather, so that a busy process does not sync for each.
            if not self._closed:
                time.sleep(_LINGER_AWAY if wait > 0 else _LINGER)
        self._connection.close()
        self._try(spool.close)

    def _write(self, spool: Spool, pending: deque[Path]) -> bool:
        """Moves a batch from memory to disk; ``False`` if it had to stay in memory."""
        with self._condition:
            lines: list[bytes] = []
            size = 0
            for line in self._lines:
                if len(lines) == _BATCH_EVENTS or (lines and size + len(line) > _BATCH_BYTES):
                    break
                lines.append(line)
                size += len(line)
        if not lines:
            return True
        try:
            batch = spool.write(b"\n".join(lines) + b"\n")
            if batch is None:
                self._report("the spool has its %d bytes: the collector has been away for long", self._max_disk)
                return False
        except OSError as error:
            self._report("the spool cannot be written: %s", error)
            return False
        pending.append(batch)
        with self._condition:
            for _ in lines:
                self._lines.popleft()
            self._memory -= size
        return True

    def _send(self, spool: Spool, batch: Path) -> float | None:
        """Sends a batch; ``None`` if the collector is done with it, else how long to wait at least."""
        try:
            body = batch.read_bytes()
        except OSError as error:
            self._report("a batch cannot be read, and is left: %s", error)
            return None
        try:
            answer: Answer = self._connection.send(body, batch.stem.rsplit("-", 1)[-1])
        except (OSError, http.client.HTTPException) as error:
            self._report("the collector does not answer: %s", error)
            return 0.0
        if answer.status in (200, 202):
            if answer.refused > 0:
                self.refused += answer.refused
                self._report("the collector refused %d events: %s", answer.refused, answer.reason)
            self._try(lambda: spool.done(batch))
            return None
        if answer.status in _PERMANENT:
            self.refused += answer.refused
            self._report("the collector refused a batch with %d, which is kept: %s", answer.status, answer.reason)
            self._try(lambda: spool.refuse(batch))
            return None
        self._report("the collector answered with %d: %s", answer.status, answer.reason)
        return min(_LONGEST_WAIT * 2, answer.retry_after or 0.0)

    def _try(self, action: Any) -> Any:
        try:
            return action()
        except OSError as error:
            self._report("the spool cannot be read: %s", error)
            return None

    def _report(self, message: str, *values: object) -> None:
        """At most one report a minute: what repeats does not fill the application's log."""
        now = time.monotonic()
        if self._reported and now - self._reported < _REPORT_EVERY:
            return
        self._reported = now
        reports.warning(message, *values)


def _line(event: dict[str, Any]) -> bytes:
    """The event as JSON, whatever is in it: a value that cannot be written must not end the application's request."""
    try:
        line = json.dumps(event, default=str, allow_nan=False, skipkeys=True, separators=(",", ":")).encode()
        problem = f"the event had {len(line)} bytes" if len(line) > _EVENT_BYTES else None
    except Exception as error:
        line, problem = b"", f"{type(error).__name__}: {error}"[:200]
    if problem is None:
        return line
    kept = {name: value[:1000] if isinstance(value, str) else value for name, value in event.items()}
    simple = {name: value for name, value in kept.items() if isinstance(value, (str, bool)) or type(value) is int}
    for fields in (simple, {"event_type": str(event.get("event_type"))[:100]}):
        line = json.dumps({**fields, "seclog_note": problem}).encode()
        if len(line) <= _EVENT_BYTES:
            return line
    return line


def _forked(itself: weakref.ref[Client]) -> None:
    client = itself()
    if client is None:
        return
    # The parent sends what it had in memory; its connection, lock and thread are its own.
    if client._spool is not None:
        client._spool.forget()
    client._spool = None
    client._connection = Connection(*client._args)
    client._begin()


def _at_exit(itself: weakref.ref[Client]) -> None:
    client = itself()
    if client is not None:
        client.close()
