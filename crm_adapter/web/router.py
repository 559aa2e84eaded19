"""The router factory: the whole section, or parts of it, inside a host's application."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, Request

from crm_adapter.db.columns import FieldMap
from crm_adapter.db.tables import HostingServer
from crm_adapter.installation import Installation
from crm_adapter.results import AllTimeProfit, LinkPolicy, Numbers, Payments, Runner
from crm_adapter.web import api_crm, api_services, api_timeweb, page
from crm_adapter.web.context import Hosting
from crm_adapter.web.documents import Documents
from crm_adapter.web.security import same_origin
from crm_adapter.web.shadows import refuse_shadows
from crm_adapter.web.templating import Renderer
from timeweb_sdk.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    import jinja2


def create_hosting_router(
    db: Any,
    timeweb: Any,
    *,
    dependencies: Sequence[Any],
    actor: Callable[..., Any] | None = None,
    parts: Collection[Literal["timeweb", "crm", "page"]] = ("timeweb", "crm", "page"),
    prefix: str = "/admin/hosting",
    base_template: str | Path | jinja2.Template | None = None,
    runner: Runner | None = None,
    trusted_origins: Collection[str] = (),
    model: type[Any] = HostingServer,
    fields: FieldMap | None = None,
    zone: str | None = None,
    stale_after: int = 300,
    import_new: bool = True,
    link_policy: LinkPolicy = "ip",
    numbers: Numbers = "null",
    payments: Payments | None = None,
    all_time_profit: AllTimeProfit | None = None,
) -> APIRouter:
    """Build the «Хостинг» section for `app.include_router(...)`.

    `db` is a `sessionmaker` or an `async_sessionmaker`; `timeweb` a client of the same kind, a mapping
    account -> client, or None while no token is set. `dependencies` are the host's own (`[Depends(require_admin)]`):
    they guard every route, static files included, and must be given. `actor` is a dependency that returns the name of
    the person at work for the change log. `parts` chooses among `timeweb` (`/api/timeweb/*` and
    `POST /api/server/{id}/sync`), `crm` (the rest of `/api/server*`, services, clients, stats, CSV) and `page`.
    `base_template` is the host's template with a `content` block, as a path or as a `jinja2.Template`. `runner` starts
    background runs (Celery: `task.delay`). `trusted_origins` may change things from other hosts. `stale_after` is in
    seconds. `zone` (IANA; None: that of `fields`, else `HOSTING_TZ`) is where people read times and days begin,
    on the page and in the syncs that it starts.

    For a front end that is there already: `numbers="zero"` tells an unknown number as 0 (null by default);
    `payments(connection, row_id)` and `all_time_profit(connection)` are the host's own, for what only the host keeps.

    Raises `ConfigurationError` for a router without authentication or of unknown parts, and
    `MappingError` when `model` and `fields` do not fit. An application in which another route answers in place of one of
    ours does not start: `ConfigurationError` names both.
    """
    if not dependencies:
        raise ConfigurationError(
            "create_hosting_router(dependencies=...) is empty, so anybody could read and change the section; "
            "pass the host's own, such as [Depends(require_admin)]"
        )
    known = {"timeweb", "crm", "page"}
    if not parts or isinstance(parts, str) or not set(parts) <= known:
        raise ConfigurationError(f"parts={parts!r} must be some of {', '.join(sorted(known))}")
    if prefix and not prefix.startswith("/"):
        raise ConfigurationError(f"prefix={prefix!r} must start with '/'")
    crm = Installation(
        db=db,
        timeweb=timeweb,
        model=model,
        fields=fields,
        zone=zone,
        import_new=import_new,
        link_policy=link_policy,
        stale_after=stale_after,
    )
    if numbers not in ("null", "zero"):
        raise ConfigurationError(f"numbers={numbers!r} must be 'null' or 'zero'")
    hosting = Hosting(crm, runner, trusted_origins, Documents(numbers), payments, all_time_profit)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        refuse_shadows(app.routes, {getattr(route, "endpoint", None) for route in router.routes})
        yield
        await hosting.close()

    guards = [*(_depends(guard) for guard in dependencies), Depends(same_origin(trusted_origins))]
    prefix, who = prefix.rstrip("/"), Depends(_takes_request(actor) if actor else _nobody)
    built: list[APIRouter] = []
    if "timeweb" in parts:
        built.append(api_timeweb.router(hosting, who, prefix, guards))
    if "crm" in parts:
        built.append(api_crm.router(hosting, who, prefix, guards))
        built.append(api_services.router(hosting, who, prefix, guards))
    if "page" in parts:
        built.append(page.router(hosting, who, prefix, guards, Renderer(base_template), has_csv="crm" in parts))
    router = APIRouter(lifespan=lifespan)
    # One flat list: whoever walks the host's routes to check them meets each of ours.
    router.routes.extend(route for part in built for route in part.routes)
    return router


def _depends(guard: Any) -> Any:
    """Accept the function itself where FastAPI wants it wrapped."""
    return Depends(guard) if callable(guard) and not hasattr(guard, "dependency") else guard


def _takes_request(actor: Callable[..., Any]) -> Callable[..., Any]:
    """A dependency as it is; a plain `lambda request: ...` gets the request, which FastAPI knows by annotation only."""
    parameters = list(inspect.signature(actor).parameters.values())
    if len(parameters) != 1 or parameters[0].annotation is not inspect.Parameter.empty:
        return actor

    async def who(request: Request) -> Any:
        name = actor(request)
        return await name if inspect.isawaitable(name) else name

    return who


def _nobody() -> None:
    """Without an `actor` the change log tells no name."""
