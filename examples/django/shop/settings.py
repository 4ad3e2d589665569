"""The sample application's settings. What Seclog needs is LOGGING and the middleware; the rest is any Django project."""

import os
from pathlib import Path

BASE_DIR = Path(os.environ.get("SHOP_DATA_DIR", Path(__file__).resolve().parent.parent))
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "only for trying it out")
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "shop.apps.ShopConfig",
]
MIDDLEWARE = [
    "shop.security.MethodNotAllowedMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "shop.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "request_facts": {"()": "shop.security.RequestFacts"},
        "refusals": {"()": "shop.security.Refusals"},
    },
    "handlers": {
        # logging.handlers.HTTPHandler behind a queue: no request waits for the collector.
        "seclog": {
            "class": "shop.security.QueuedHTTPHandler",
            "host": os.environ.get("SECLOG_COLLECTOR", "127.0.0.1:7390"),
            "credentials": ("shop", os.environ.get("SECLOG_TOKEN", "")),
            "secure": os.environ.get("SECLOG_COLLECTOR_TLS") == "1",
            "filters": ["request_facts"],
        },
    },
    "loggers": {
        # The application's own events, by record_security_event.
        "security": {"handlers": ["seclog"], "level": "INFO", "propagate": False},
        # Django's: CSRF, hosts that are not served, suspicious operations.
        "django.security": {"handlers": ["seclog"], "level": "WARNING", "propagate": False},
        # Django's refusals and failures that no event above explains: permission denied, bad requests, errors.
        "django.request": {"handlers": ["seclog"], "level": "WARNING", "filters": ["refusals"], "propagate": False},
    },
}
