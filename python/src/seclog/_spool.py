"""Batches on disk: a file for each, which never changes, so that sending it again is the same request with the same key.

Each process has a folder of its own below the spool's, with a lock that it holds while it lives. A folder whose lock is
free was left by a process that ended: any other process takes it over and sends what is in it.

A batch is durable when its file has its final name: written under another name, synced, renamed, and the folder synced.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from pathlib import Path
from typing import Iterator

_BATCH = ".ndjson"
#: What the collector will never take, kept for people to look at.
_REFUSED = ".refused"
_MOST_REFUSED = 100


class Spool:
    """The batches of this process, and of those that ended."""

    def __init__(self, directory: str | os.PathLike[str], max_bytes: int) -> None:
        self._root = Path(directory)
        self._max_bytes = max_bytes
        # Names sort by age within a process: the order in which batches are sent.
        self._next = 0
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = self._root.stat()
        if status.st_mode & 0o022:
            raise OSError(f"the spool {self._root} is writable by other users: run chmod go-w on it")
        self._folder = self._root / f"{os.getpid()}-{uuid.uuid4().hex}"
        self._folder.mkdir(mode=0o700)
        self._lock = _locked(self._folder)
        self._taken: dict[Path, int] = {}
        # What all processes have on disk, as of the last look, with this one's changes since.
        self._bytes = sum(_size(path) for path in self._root.rglob("*"))

    def write(self, body: bytes) -> Path | None:
        """The durable batch; ``None`` if the spool has no room for it. Raises OSError if it cannot be written."""
        if self._bytes + len(body) > self._max_bytes:
            return None
        self._next += 1
        path = self._folder / f"{self._next:012d}-{uuid.uuid4().hex}{_BATCH}"
        draft = path.with_suffix(".draft")
        try:
            with open(draft, "xb", opener=_private) as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            os.rename(draft, path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        _sync_folder(self._folder)
        self._bytes += len(body)
        return path

    def own(self) -> list[Path]:
        """The batches of this process, oldest first."""
        return sorted(self._folder.glob(f"*{_BATCH}"))

    def look(self) -> list[Path]:
        """Measures the spool, and takes over the folders of processes that ended: their batches, oldest first."""
        batches: list[Path] = []
        for folder in self._others():
            lock = _locked(folder)
            if lock is None:
                continue
            self._taken[folder] = lock
            batches += sorted(folder.glob(f"*{_BATCH}"))
            self._leave(folder)
        self._bytes = sum(_size(path) for path in self._root.rglob("*"))
        return batches

    def _others(self) -> Iterator[Path]:
        for folder in sorted(self._root.iterdir()):
            if folder != self._folder and folder not in self._taken and folder.is_dir():
                yield folder

    def done(self, batch: Path) -> None:
        """The collector has it."""
        self._bytes -= _size(batch)
        batch.unlink(missing_ok=True)
        self._leave(batch.parent)

    def refuse(self, batch: Path) -> None:
        """The collector will never take it: it is set aside, and the oldest of those go."""
        os.replace(batch, self._root / f"{batch.stem}{_REFUSED}")
        for old in sorted(self._root.glob(f"*{_REFUSED}"), key=lambda path: path.stat().st_mtime)[:-_MOST_REFUSED]:
            old.unlink(missing_ok=True)
        self._leave(batch.parent)

    def _leave(self, folder: Path) -> None:
        """Removes a folder that was taken over, once it has no batch."""
        if folder in self._taken and not any(folder.glob(f"*{_BATCH}")):
            shutil.rmtree(folder, ignore_errors=True)
            os.close(self._taken.pop(folder))

    def close(self) -> None:
        """Leaves the rest to the next process; without any, the folder goes."""
        if not any(self._folder.glob(f"*{_BATCH}")):
            shutil.rmtree(self._folder, ignore_errors=True)
        self.forget()

    def forget(self) -> None:
        """In the child of a fork: what it inherited is the parent's. Closing a copy of a lock does not free it."""
        for lock in [self._lock, *self._taken.values()]:
            if lock is not None:
                os.close(lock)
        self._lock = None
        self._taken = {}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; ``None`` while another process does, or when the folder has gone."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    if not folder.exists():
        os.close(lock)
        return None
    return lock


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
