"""`/v1/alerts`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.domain.ports.alerts import AlertState, UnpricedAlert
from billing_server.edge.http.convert import instant_to_json, page_to_json
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_insight import AlertAnswer
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.unpriced_alerts import list_alerts

router = APIRouter(route_class=ApiRoute, tags=["alerts"])


@router.get("/alerts", response_model=ListAnswer[AlertAnswer])
def get_alerts(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only those of one customer.")] = None,
    state: Annotated[AlertState | None, Query(description="Only those in one state.")] = None,
) -> Any:
    """List what somebody has to look at, in the order in which it was raised.

    Usage that no price charges raises one alert for its customer, meter and dimensions. It is
    closed once such usage would be priced; the open period is then priced anew.
    """
    found = list_alerts(context, page=page, customer_id=customer, state=state)
    return page_to_json(found, show=alert_to_json)


def alert_to_json(alert: UnpricedAlert) -> dict[str, Any]:
    """Return an alert as the API answers it."""
    return {
        "id": alert.alert_id,
        "kind": "unpriced_usage",
        "state": str(alert.state),
        "customer": alert.customer_id,
        "meter": alert.meter_key,
        "dimensions": dict(sorted(alert.dimensions.items())),
        "usage_time": instant_to_json(alert.usage_time),
        "close_time": instant_to_json(alert.close_time),
    }
