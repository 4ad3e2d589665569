from django.apps import AppConfig


class ShopConfig(AppConfig):
    name = "shop"

    def ready(self):
        """Login signals become events."""
        import logging

        from django.contrib.auth import signals

        from .security import record_security_event

        def logged_in(sender, request, user, **kwargs):
            record_security_event("authn_login_success", request, logging.INFO, userid=user.pk)

        def logged_out(sender, request, user, **kwargs):
            if user is not None:
                record_security_event("session_logout", request, logging.INFO, userid=user.pk)

        def login_failed(sender, credentials, request=None, **kwargs):
            record_security_event("authn_login_fail", request, userid=credentials.get("username"), reason="credentials")

        signals.user_logged_in.connect(logged_in, weak=False, dispatch_uid="seclog")
        signals.user_logged_out.connect(logged_out, weak=False, dispatch_uid="seclog")
        signals.user_login_failed.connect(login_failed, weak=False, dispatch_uid="seclog")
