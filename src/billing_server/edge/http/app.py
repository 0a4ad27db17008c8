"""The HTTP application: `/v1` behind an API key, health, and its own description."""

from collections.abc import Callable

from fastapi import APIRouter, Depends, FastAPI
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer

from billing_server.edge.http import (
    agent_token_routes,
    alert_routes,
    catalog_routes,
    customer_routes,
    explain_routes,
    invoice_routes,
    join_token_routes,
    limit_routes,
    operation_routes,
    quarantine_routes,
    reprice_routes,
    terms_routes,
    usage_routes,
)
from billing_server.edge.http.metrics import add_metrics
from billing_server.edge.http.problems import (
    PROBLEM_MEDIA_TYPE,
    Problem,
    install_problem_handlers,
)
from billing_server.services.context import ServiceContext

DESCRIPTION = """
Usage metering and billing.

* Every call under `/v1` carries `Authorization: Bearer KEY`.
* Every POST takes an `Idempotency-Key`: the same key with the same body is answered the same, with
  another body it is refused.
* Money and quantities are decimal strings, instants are RFC 3339 in UTC.
* Errors are `application/problem+json` with a stable `reason`.
* Lists come in pages: hand `next_cursor` in as `cursor`.
"""
UNAVAILABLE = 503


def create_app(
    context: ServiceContext, *, version: str, is_ready: Callable[[], bool] = lambda: True
) -> FastAPI:
    """Make the application.

    Args:
        context: what the use cases need.
        version: of the program, shown in the description.
        is_ready: tells whether the server should be sent work.
    """
    app = FastAPI(title="billing-server", version=version, description=DESCRIPTION, redoc_url=None)
    app.state.context = context
    install_problem_handlers(app)
    api = APIRouter(
        prefix="/v1",
        dependencies=[Depends(HTTPBearer(auto_error=False, description="The API key."))],
        responses={"default": _problem_response()},
    )
    for routes in (
        catalog_routes,
        # Before the customers, whose ids may hold slashes.
        limit_routes,
        # Before the customers, whose path takes every id whole.
        explain_routes,
        terms_routes,
        customer_routes,
        usage_routes,
        invoice_routes,
        operation_routes,
        quarantine_routes,
        agent_token_routes,
        join_token_routes,
        alert_routes,
        reprice_routes,
    ):
        api.include_router(routes.router)
    app.include_router(api)
    _add_health(app, context=context, is_ready=is_ready)
    add_metrics(app, context=context)
    return app


def _problem_response() -> dict[str, object]:
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {"model": Problem, "description": "A problem", "content": {PROBLEM_MEDIA_TYPE: schema}}


def _add_health(app: FastAPI, *, context: ServiceContext, is_ready: Callable[[], bool]) -> None:
    @app.get("/healthz", tags=["health"])
    def get_health() -> dict[str, str]:
        """Tell that the process lives."""
        return {"state": "alive"}

    @app.get("/readyz", tags=["health"])
    def get_readiness() -> JSONResponse:
        """Tell whether the server takes work: it runs and its database answers."""
        if not is_ready():
            return JSONResponse({"state": "stopping"}, status_code=UNAVAILABLE)
        with context.store.read() as unit:
            unit.clock.is_new()
        return JSONResponse({"state": "ready"})
