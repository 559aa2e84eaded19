"""A Celery application from the adapter's own settings: `celery -A crm_adapter.tasks.app worker --beat`.

The broker is `CELERY_BROKER_URL` (Redis or RabbitMQ), else `TIMEWEB_REDIS_URL`.
"""

from __future__ import annotations

import os
from typing import Any, cast

from celery import Celery

from crm_adapter import tasks
from crm_adapter.settings import load_settings
from timeweb_sdk.errors import ConfigurationError


def make_app() -> Celery:
    """Build the application. Raises `ConfigurationError` when no broker is configured."""
    redis = load_settings().timeweb_redis_url
    broker = os.environ.get("CELERY_BROKER_URL") or (redis.get_secret_value() if redis else None)
    if not broker:
        raise ConfigurationError("no broker: set CELERY_BROKER_URL (redis://… or amqp://…) or TIMEWEB_REDIS_URL")
    celery = Celery("timeweb_crm", broker=broker, include=[tasks.__name__])
    configuration = cast(Any, celery).conf
    configuration.update(
        task_default_queue="timeweb_crm",
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        # With late acknowledgement: a worker takes no message that an idle one could take.
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        beat_schedule=tasks.beat_schedule(),
    )
    return celery


app = make_app()
