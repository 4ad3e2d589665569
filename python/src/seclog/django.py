"""Django in one line: ``INSTALLED_APPS = ["seclog.django.SeclogConfig", ...]``.

It records 405s with the allowed methods, what ``django.security`` and ``django.request`` report, and logins, logouts and
failed logins. ``SECLOG`` of the settings has the arguments of seclog.configure(); without it, the environment says.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Callable

from django.apps import AppConfig
from django.conf import settings

from . import _record
from ._client import SeclogError
from .handler import SeclogHandler

_EXPLANATIONS = ("authn_", "authz_", "excess_", "illegal_", "input_", "malicious_")
_SUSPICIOUS = {
    "csrf": "malicious_csrf",
    "DisallowedHost": "host_header_rejected",
    "SuspiciousFileOperation": "malicious_direct_reference",
}
#: 405 is the middleware's, which knows the allowed methods; 404 is not an event.
_STATUSES = {
    400: "input_validation_fail",
    401: "unauthenticated_request",
    403: "authz_fail",
    413: "input_validation_fail",
    429: "excess_rate_limit_exceeded",
    500: "sys_error",
}


def record_security_event(event_type: str, request: Any = None, **data: Any) -> bool:
    """As seclog.record_security_event(). Django's own report of a refusal that it explains is left out."""
    if request is not None and event_type.startswith(_EXPLANATIONS):
        request.seclog_explained = True
    return _record.record_security_event(event_type, request, **data)


class SeclogConfig(AppConfig):
    name = "seclog.django"
    label = "seclog"

    def ready(self) -> None:
        given = getattr(settings, "SECLOG", None)
        if given is not None or _record.client() is None:
            try:
                _record.configure(**(given or {}))
            except SeclogError as error:
                from django.core.exceptions import ImproperlyConfigured

                raise ImproperlyConfigured(f"{error}, in SECLOG of the settings") from error
        # First, so that it sees every response. Handlers load the middleware after this.
        own = "seclog.django.MethodNotAllowedMiddleware"
        if own not in settings.MIDDLEWARE:
            settings.MIDDLEWARE = [own, *settings.MIDDLEWARE]
        handler = DjangoHandler(logging.WARNING)
        for name in ("django.security", "django.request"):
            logger = logging.getLogger(name)
            if not any(isinstance(known, DjangoHandler) for known in logger.handlers):
                logger.addHandler(handler)
        _connect_signals()


class MethodNotAllowedMiddleware:
    """Records requests whose method a path does not support, with the methods that it does."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        if response.status_code == 405:
            allowed = [method.strip() for method in response.headers.get("Allow", "").split(",") if method.strip()]
            _record.record_security_event(
                "illegal_request_method", request, status_code=405, allowed_methods=allowed or None
            )
        return response


class DjangoHandler(SeclogHandler):
    """Django's records as types of the catalogue; those that mean nothing for security are left out."""

    def filter(self, record: logging.LogRecord) -> Any:
        explained = getattr(getattr(record, "request", None), "seclog_explained", False)
        return super().filter(record) and not explained and self._meaning(record) is not None

    def event(self, record: logging.LogRecord) -> dict[str, Any]:
        event = super().event(record)
        event_type, reason = self._meaning(record) or ("logged_message", None)
        event["event_type"] = event_type
        if reason is not None:
            event["reason"] = reason
        # The catalogue's: Django has one level for what strangers can cause at any time.
        event.pop("level", None)
        # The 403 of a suspicious operation is reported twice, here and by django.request.
        request = getattr(record, "request", None)
        if request is not None and record.name.startswith("django.security"):
            request.seclog_explained = True
        return event

    @staticmethod
    def _meaning(record: logging.LogRecord) -> tuple[str, str | None] | None:
        if record.name.startswith("django.security."):
            kind = record.name.rsplit(".", 1)[1]
            in_message = re.match(r"Forbidden \((.*?)\)(?::|$)", record.getMessage(), re.S)
            reason = in_message.group(1) if kind == "csrf" and in_message else kind
            return _SUSPICIOUS.get(kind, "input_validation_fail"), reason
        event_type = _STATUSES.get(getattr(record, "status_code", 0))
        if event_type is None:
            return None
        error = record.exc_info[0] if record.exc_info else None
        return event_type, error.__name__ if error else None


def _connect_signals() -> None:
    from django.contrib.auth import signals

    def logged_in(sender: Any, request: Any, user: Any, **_: Any) -> None:
        record_security_event("authn_login_success", request, userid=str(user.pk))

    def logged_out(sender: Any, request: Any, user: Any, **_: Any) -> None:
        if user is not None:
            record_security_event("session_logout", request, userid=str(user.pk))

    def login_failed(sender: Any, credentials: Any, request: Any = None, **_: Any) -> None:
        # Never the credentials: of them, only the name.
        record_security_event(
            "authn_login_fail", request, userid=credentials.get("username"), reason="credentials"
        )

    signals.user_logged_in.connect(logged_in, weak=False, dispatch_uid="seclog")
    signals.user_logged_out.connect(logged_out, weak=False, dispatch_uid="seclog")
    signals.user_login_failed.connect(login_failed, weak=False, dispatch_uid="seclog")
