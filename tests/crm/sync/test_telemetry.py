"""Spans around run, account, page and apply, sync and async, without secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy.orm import Session, sessionmaker

from crm_adapter import sync_all, telemetry
from tests.crm.fake_timeweb import client, world
from timeweb_sdk.errors import ServerError


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    class Tracing:
        StatusCode = trace.StatusCode
        get_tracer = staticmethod(provider.get_tracer)

    monkeypatch.setattr(telemetry, "_tracing", Tracing)
    yield exporter
    provider.shutdown()


def test_spans_nest_and_tell_the_outcome(
    db: sessionmaker[Session], spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "crm_adapter")
    sync_all(db, client(world(120)))
    finished = spans.get_finished_spans()
    names = [span.name for span in finished]
    assert names == [f"timeweb_crm.{name}" for name in ("page", "page", "apply", "account", "run")]
    page, _, apply, account, run = finished
    assert page.parent and account.context and page.parent.span_id == account.context.span_id
    assert apply.parent and apply.parent.span_id == account.context.span_id
    assert dict(apply.attributes or {}) == {"timeweb_crm.account": "default", "timeweb_crm.rows": 120}
    assert (run.attributes or {})["timeweb_crm.status"] == "success"
    assert [record.getMessage() for record in caplog.records] == ["sync finished run_id=1 status=success created_count=120"]
    told = "".join(span.to_json() for span in finished) + caplog.text
    assert "s3cr3t" not in told


def test_a_fault_is_data_and_not_an_exception_of_a_span(db: sessionmaker[Session], spans: InMemorySpanExporter) -> None:
    fake = world(1, faults={"servers.list": [ServerError("s3cr3t body", status_code=502)]})
    sync_all(db, client(fake))
    account = next(span for span in spans.get_finished_spans() if span.name == "timeweb_crm.account")
    assert (account.attributes or {})["timeweb_crm.error_code"] == "upstream_unavailable"
    assert "s3cr3t" not in account.to_json()
