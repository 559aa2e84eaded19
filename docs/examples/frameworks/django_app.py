"""Servers in a Django application, all in one file: `python django_app.py runserver`."""

from __future__ import annotations

import sys
from functools import cache

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.core.management import execute_from_command_line
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

from timeweb_sdk import RateLimit, Timeweb, TimewebError

settings.configure(ALLOWED_HOSTS=["127.0.0.1", "localhost"], ROOT_URLCONF=__name__, LOGGING_CONFIG=None)


@cache
def timeweb() -> Timeweb:
    """One client per process; threads share it."""
    return Timeweb(application="shop/1.0", rate_limit=RateLimit.gentle(), total_timeout=20)


def servers(_: HttpRequest) -> JsonResponse:
    try:
        return JsonResponse({"servers": [{"id": each.id, "name": each.name} for each in timeweb().servers.list()]})
    except TimewebError as error:
        return JsonResponse({"error": type(error).__name__}, status=502)


urlpatterns = [path("servers", servers)]
app: WSGIHandler = get_wsgi_application()

if __name__ == "__main__":
    execute_from_command_line(sys.argv)
