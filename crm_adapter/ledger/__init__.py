"""What costs money beside servers: services, whose they are, what they cost in which month, what a client leaves after it."""

from __future__ import annotations

from crm_adapter.ledger.results import AttributionResult, ClientCard, Proposal, ServiceInfo, ServiceList, ServiceView

__all__ = ["AttributionResult", "ClientCard", "Proposal", "ServiceInfo", "ServiceList", "ServiceView"]
