"""What a request says, by the shape of each framework's: none of them is imported."""

from __future__ import annotations

from typing import Any, Mapping


def facts_of(request: Any) -> dict[str, Any]:
    """Columns of a request of Django, Flask (or any WSGI environ) or Starlette, or of a mapping of columns."""
    if request is None:
        return {}
    try:
        meta = getattr(request, "META", None) or getattr(request, "environ", None)
        if isinstance(meta, Mapping):
            return _of_environ(request, meta)
        scope = getattr(request, "scope", None)
        if isinstance(scope, Mapping):
            return _of_scope(scope)
    except Exception:  # A hostile header must not end the application's request.
        return {}
    return dict(request) if isinstance(request, Mapping) else {}


def _of_environ(request: Any, meta: Mapping[str, Any]) -> dict[str, Any]:
    facts = {
        "method": meta.get("REQUEST_METHOD"),
        "path": getattr(request, "path", None) or meta.get("PATH_INFO"),
        # Behind a proxy: the address that the server or a middleware has put here, and only if the proxy is yours.
        "ip_address": meta.get("REMOTE_ADDR") or None,
        "user_agent": meta.get("HTTP_USER_AGENT"),
        "request_host": meta.get("HTTP_HOST"),
    }
    match = getattr(request, "resolver_match", None)
    if match is not None:
        facts["route"] = "/" + match.route
    rule = getattr(request, "url_rule", None)
    if rule is not None:
        facts["route"] = rule.rule
    # Not before the session's middleware: asking would open the session.
    user = getattr(request, "user", None)
    if user is not None and getattr(user, "is_authenticated", False):
        facts["actor_id"] = str(user.pk)
    return facts


def _of_scope(scope: Mapping[str, Any]) -> dict[str, Any]:
    headers = {bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1") for name, value in scope["headers"]}
    client = scope.get("client")
    return {
        "method": scope.get("method"),
        "path": scope.get("path"),
        "ip_address": client[0] if client else None,
        "user_agent": headers.get("user-agent"),
        "request_host": headers.get("host"),
        "route": getattr(scope.get("route"), "path", None),
    }
