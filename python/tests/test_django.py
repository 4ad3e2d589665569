"""The application configuration for Django, in Django, without a server, against a real collector."""

import os
import tempfile
import unittest

import seclog

try:
    import django
except ImportError:
    django = None

URL = os.environ.get("SECLOG_TEST_URL", "")


@unittest.skipUnless(django and URL, "Django is not installed, or SECLOG_TEST_URL names no collector")
class InDjango(unittest.TestCase):
    def test_records_refusals_and_logins(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        from django.conf import settings

        settings.configure(
            SECRET_KEY="only in this test",
            ALLOWED_HOSTS=["testserver"],
            ROOT_URLCONF=__name__,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=[
                "seclog.django.SeclogConfig",
                "django.contrib.auth",
                "django.contrib.contenttypes",
                "django.contrib.sessions",
            ],
            MIDDLEWARE=[
                "django.contrib.sessions.middleware.SessionMiddleware",
                "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
            ],
            SECLOG={
                "url": URL,
                "token": os.environ["SECLOG_TEST_TOKEN"],
                "spool": os.path.join(folder.name, "spool"),
                "exit_timeout": 20,
            },
            LOGGING_CONFIG=None,
        )
        django.setup()
        self.addCleanup(seclog.close)
        from django.contrib.auth.models import User
        from django.core.management import call_command
        from django.test import Client

        call_command("migrate", verbosity=0)
        User.objects.create_user("ada", password="lovelace")
        browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
        self.assertEqual(browser.post("/only-get").status_code, 403)
        browser = Client(raise_request_exception=False)
        self.assertEqual(browser.post("/only-get").status_code, 405)
        self.assertEqual(browser.get("/denied").status_code, 403)
        self.assertEqual(browser.get("/suspicious").status_code, 400)
        self.assertEqual(browser.get("/missing").status_code, 404)
        self.assertFalse(browser.login(username="ada", password="wrong"))
        self.assertTrue(browser.login(username="ada", password="lovelace"))
        browser.logout()
        self.assertTrue(seclog.flush(20))


def _urls() -> list:
    from django.core.exceptions import PermissionDenied, SuspiciousFileOperation
    from django.http import HttpResponse
    from django.urls import path
    from django.views.decorators.http import require_GET

    def denied(request):
        raise PermissionDenied

    def suspicious(request):
        raise SuspiciousFileOperation("../../etc/passwd")

    return [
        path("only-get", require_GET(lambda request: HttpResponse("here"))),
        path("denied", denied),
        path("suspicious", suspicious),
    ]


urlpatterns = _urls() if django else []
