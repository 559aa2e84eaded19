"""Servers in a Flask application: `flask --app flask_app run`."""

from __future__ import annotations

from functools import cache

from flask import Flask

from timeweb_sdk import RateLimit, Timeweb, TimewebError

app = Flask(__name__)


@cache
def timeweb() -> Timeweb:
    """One client per process; threads share it."""
    return Timeweb(application="shop/1.0", rate_limit=RateLimit.gentle(), total_timeout=20)


@app.get("/servers")
def servers() -> dict[str, object]:
    return {"servers": [{"id": server.id, "name": server.name} for server in timeweb().servers.list()]}


@app.errorhandler(TimewebError)
def away(error: TimewebError) -> tuple[dict[str, object], int]:
    return {"error": type(error).__name__}, 502
