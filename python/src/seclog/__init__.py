"""Security events of a Python application, on disk until ``seclog collect`` has them.

    import seclog

    seclog.configure("https://collect.internal:7390", token=TOKEN, spool="/var/lib/shop/seclog")
    seclog.record_security_event("authn_login_fail", request, userid=name, reason="password")
"""

from ._client import Client, SeclogError
from ._record import close, configure, flush, record_security_event
from ._types import EventType, Level, Outcome
from .handler import SeclogHandler

__all__ = [
    "Client",
    "EventType",
    "Level",
    "Outcome",
    "SeclogError",
    "SeclogHandler",
    "close",
    "configure",
    "flush",
    "record_security_event",
]
