"""The package against a real collector, which SECLOG_TEST_URL and SECLOG_TEST_TOKEN name."""

import json
import logging
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import seclog
from seclog._facts import facts_of

URL = os.environ.get("SECLOG_TEST_URL", "")
TOKEN = os.environ.get("SECLOG_TEST_TOKEN", "")
#: A port that no program listens on: nothing is sent.
NOWHERE = "http://127.0.0.1:1"


def files(folder: str, pattern: str = "*/*.ndjson") -> list:
    return sorted(pathlib.Path(folder).glob(pattern))


def lines(folder: str) -> list:
    return [json.loads(line) for path in files(folder) for line in path.read_text().splitlines()]


def until(condition, what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.01)


class InFolder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.spool = os.path.join(folder.name, "spool")

    def client(self, url: str = NOWHERE, **options) -> seclog.Client:
        options.setdefault("exit_timeout", 0.2)
        client = seclog.Client(url, TOKEN or "x", self.spool, **options)
        self.addCleanup(client.close)
        return client


class Record(InFolder):
    def test_returns_at_once_and_keeps_events_on_disk_while_the_collector_is_away(self) -> None:
        client = self.client()
        begin = time.monotonic()
        for number in range(2_000):
            self.assertTrue(client.record({"event_type": "test_away", "number": number}))
        self.assertLess((time.monotonic() - begin) / 2_000, 0.001)
        until(lambda: len(lines(self.spool)) == 2_000, "all are on disk")
        self.assertEqual([line["number"] for line in lines(self.spool)], list(range(2_000)))
        self.assertFalse(client.flush(0.05))

    def test_drops_and_counts_when_memory_and_disk_are_full(self) -> None:
        with self.assertLogs("seclog", "WARNING"):
            client = self.client(max_memory=20_000, max_disk=20_000)
            taken = [client.record({"event_type": "test_full", "text": "x" * 1_000}) for _ in range(200)]
        self.assertIn(False, taken)
        self.assertEqual(client.dropped, taken.count(False))
        self.assertLessEqual(sum(path.stat().st_size for path in files(self.spool)), 20_000)

    def test_takes_any_value(self) -> None:
        class Odd:
            def __str__(self) -> str:
                raise RuntimeError("no")

        cycle: list = []
        cycle.append(cycle)
        client = self.client()
        for value in (float("nan"), "\ud800", b"\xff", Odd(), cycle, {1: 2, (3,): 4}, "x" * 100_000):
            self.assertTrue(client.record({"event_type": "test_odd", "value": value, "path": "/odd"}))
        until(lambda: len(lines(self.spool)) == 7, "all are on disk")
        for line in lines(self.spool):
            self.assertEqual((line["event_type"], line["path"]), ("test_odd", "/odd"))

    def test_writes_files_that_others_cannot_read(self) -> None:
        client = self.client()
        client.record({"event_type": "test_mode"})
        until(lambda: files(self.spool), "it is on disk")
        self.assertEqual(files(self.spool)[0].stat().st_mode & 0o077, 0)
        self.assertEqual(pathlib.Path(self.spool).stat().st_mode & 0o077, 0)


class Configure(InFolder):
    def test_refuses_what_would_show_the_token(self) -> None:
        for url in ("http://collect.internal:7390", "https://user:secret@collect.internal", "ftp://x", "collect"):
            with self.assertRaises(ValueError) as caught:
                seclog.Client(url, "token", self.spool)
            self.assertNotIn("secret", str(caught.exception))
        with self.assertRaises(ValueError):
            seclog.Client(NOWHERE, " ", self.spool)

    def test_verifies_certificates(self) -> None:
        import ssl

        from seclog._http import Connection

        tls = Connection("https://collect.internal", "token", None)._tls
        assert tls is not None
        self.assertEqual((tls.verify_mode, tls.check_hostname), (ssl.CERT_REQUIRED, True))

    def test_refuses_a_spool_that_others_may_write_to(self) -> None:
        os.mkdir(self.spool)
        os.chmod(self.spool, 0o777)
        with self.assertRaises(OSError):
            seclog.Client(NOWHERE, "token", self.spool)

    def test_is_needed_before_the_first_event(self) -> None:
        with self.assertRaises(seclog.SeclogError):
            seclog.record_security_event("authz_fail")


class Requests(unittest.TestCase):
    def test_are_read_by_their_shape(self) -> None:
        class Wsgi:
            environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "REMOTE_ADDR": "203.0.113.7", "HTTP_USER_AGENT": "x"}

        class Asgi:
            scope = {"method": "GET", "path": "/a", "client": ("203.0.113.7", 1), "headers": [(b"User-Agent", b"x")]}

        for request in (Wsgi(), Asgi()):
            facts = facts_of(request)
            self.assertEqual(
                (facts["method"], facts["path"], facts["ip_address"], facts["user_agent"]),
                ("GET", "/a", "203.0.113.7", "x"),
            )
        self.assertEqual(facts_of({"path": "/b"}), {"path": "/b"})
        self.assertEqual(facts_of(object()), {})


@unittest.skipUnless(URL, "SECLOG_TEST_URL names no collector")
class WithCollector(InFolder):
    def test_delivers_and_leaves_nothing(self) -> None:
        client = self.client(URL)
        for number in range(1_500):
            client.record({"event_type": "test_delivered", "number": number})
        self.assertTrue(client.flush(20))
        self.assertEqual((files(self.spool), client.dropped, client.refused), ([], 0, 0))
        self.assertTrue(client.close())
        self.assertEqual(os.listdir(self.spool), [])

    def test_sends_from_each_process_after_a_fork(self) -> None:
        client = self.client(URL, exit_timeout=20)
        client.record({"event_type": "test_forked", "who": "parent"})
        child = os.fork()
        if child == 0:
            client.record({"event_type": "test_forked", "who": "child"})
            os._exit(0 if client.close() else 1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
        self.assertTrue(client.flush(20))

    def test_takes_over_what_a_dead_process_left(self) -> None:
        code = (
            "import seclog, os, sys, time, glob\n"
            f"client = seclog.Client('{NOWHERE}', 'x', sys.argv[1])\n"
            "for number in range(300): client.record({'event_type': 'test_left', 'number': number})\n"
            "while client._memory > 0: time.sleep(0.01)\n"
            "os.kill(os.getpid(), 9)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code, self.spool], env=os.environ, check=False)
        self.assertEqual(ended.returncode, -9)
        self.assertEqual(len(lines(self.spool)), 300)
        # Of two that look at once, one takes it.
        clients = [self.client(URL), self.client(URL)]
        until(lambda: not files(self.spool), "it is sent")
        for client in clients:
            self.assertTrue(client.flush(20))

    def test_sets_aside_what_the_collector_never_takes(self) -> None:
        with self.assertLogs("seclog", "WARNING"):
            client = self.client(URL)
            client.record({"event_type": "log_started"})
            self.assertTrue(client.flush(20))
        client.record({"event_type": "test_after_refusal"})
        self.assertTrue(client.flush(20))
        self.assertEqual(client.refused, 1)

    def test_logs_by_a_handler(self) -> None:
        seclog.configure(URL, token=TOKEN, spool=self.spool, exit_timeout=20)
        self.addCleanup(seclog.close)
        logger = logging.getLogger("shop.handler")
        logger.propagate = False
        logger.addHandler(seclog.SeclogHandler())
        logger.warning("test_handled", extra={"path": "/x", "number": 1})
        try:
            raise KeyError("secret value")
        except KeyError:
            logger.exception("it failed: %s", 7)
        seclog.record_security_event("authz_fail", {"path": "/y"}, userid=4711, level="critical")
        self.assertTrue(seclog.flush(20))

    def test_records_from_many_threads(self) -> None:
        client = self.client(URL)

        def record(thread: int) -> None:
            for number in range(100):
                client.record({"event_type": "test_threads", "thread": thread, "number": number})

        threads = [threading.Thread(target=record, args=(thread,)) for thread in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(client.flush(20))


if __name__ == "__main__":
    unittest.main()
