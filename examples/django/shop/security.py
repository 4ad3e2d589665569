"""Security events of a Django application, with nothing but the standard library and Django.

record_security_event() is the call; the records go to ``seclog collect`` by logging.handlers.HTTPHandler.
"""

import atexit
import logging
import logging.handlers
import os
import queue

logger = logging.getLogger("security")

# Events that say why a request was refused: Django's own record of the refusal adds nothing to them.
EXPLANATIONS = ("authn_", "authz_", "excess_", "illegal_", "input_", "malicious_")


def record_security_event(event_type, request=None, level=logging.WARNING, **data):
    """Records an event, such as ``record_security_event("authz_fail", request, userid=user.pk, resource="order 7")``."""
    extra = {name: value for name, value in data.items() if value is not None}
    logger.log(level, event_type, extra={"event_type": event_type, "request": request, **extra})


class MethodNotAllowedMiddleware:
    """Records the requests that a path does not support, with the methods that it does."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if response.status_code == 405:
            record_security_event(
                "illegal_request_method",
                request,
                status_code=405,
                allowed_methods=response.headers.get("Allow"),
            )
        return response


class RequestFacts(logging.Filter):
    """Adds what identifies the client to records that have a request: Django's own have no more than that."""

    def filter(self, record):
        request = getattr(record, "request", None)
        meta = getattr(request, "META", None)
        if meta is not None:
            record.method = request.method
            record.path = request.path
            # Behind a proxy: the address that the proxy reports, and only if it is yours.
            record.ip_address = meta.get("REMOTE_ADDR")
            record.user_agent = meta.get("HTTP_USER_AGENT")
            record.request_host = meta.get("HTTP_HOST")
            match = getattr(request, "resolver_match", None)
            if match is not None:
                record.route = "/" + match.route
            if record.name.startswith("django.security") or record.getMessage().startswith(EXPLANATIONS):
                request.security_event = True
            user = getattr(request, "user", None)
            if user is not None and user.is_authenticated and not hasattr(record, "userid"):
                record.userid = user.pk
        return True


class Refusals(logging.Filter):
    """Lets pass what django.request reports of a refusal, unless an event says why: one event for each refusal.

    405 does not pass: it is the middleware's, which knows the allowed methods. Nor does 404: a page that does not exist
    is not an event.
    """

    def filter(self, record):
        explained = getattr(getattr(record, "request", None), "security_event", False)
        return getattr(record, "status_code", 0) not in (404, 405) and not explained


class QueuedHTTPHandler(logging.handlers.QueueHandler):
    """HTTPHandler on a thread of its own. The queue is bounded: a collector that is away costs events, never requests."""

    def __init__(self, host, credentials, secure=False, url="/v1/events", capacity=10_000):
        super().__init__(queue.Queue(capacity))
        self._sender = logging.handlers.HTTPHandler(
            host, url, method="POST", secure=secure, credentials=credentials
        )
        self._listener = None
        self._pid = None
        atexit.register(self._stop)

    def prepare(self, record):
        # Nothing is pickled, so the record keeps its request; what of it is sent was read by RequestFacts.
        record = super().prepare(record)
        record.request = str(getattr(record, "request", None))
        return record

    def emit(self, record):
        # A thread does not survive fork(): each worker process starts its own with its first record.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._listener = logging.handlers.QueueListener(self.queue, self._sender)
            self._listener.start()
        super().emit(record)

    def _stop(self):
        if self._listener is not None and self._pid == os.getpid():
            self._listener.stop()
            self._listener = None
