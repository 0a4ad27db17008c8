"""`/v1/customers` with the upcoming invoice, `/v1/subscriptions` and `/v1/usage`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from billing_server.domain.catalog.model import SubscriptionEntry
from billing_server.domain.catalog.serialize import (
    customer_from_dict,
    customer_to_dict,
    subscription_entry_from_dict,
)
from billing_server.domain.subscription.model import Subscription
from billing_server.edge.http.convert import page_to_json, subscription_to_json
from billing_server.edge.http.models import (
    CustomerAnswer,
    ListAnswer,
    SubscriptionAnswer,
    UpcomingInvoiceAnswer,
    UsageAnswerModel,
)
from billing_server.edge.http.models_requests import (
    CreateCustomerRequest,
    CreateSubscriptionRequest,
    given_fields,
)
from billing_server.edge.http.parameters import WantedPage, dimension_filter, instant_of
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.context import ServiceContext
from billing_server.services.create_customer import create_customer
from billing_server.services.create_subscription import create_subscription
from billing_server.services.list_customers import list_customers, show_customer
from billing_server.services.list_subscriptions import (
    current_period,
    list_subscriptions,
    rating_failed_reason,
    show_subscription,
)
from billing_server.services.query_usage import UsageQuery, query_usage
from billing_server.services.upcoming_invoice import upcoming_invoice
from metering.quantity import plain_decimal

router = APIRouter(route_class=ApiRoute)
CREATED = 201


@router.post("/customers", status_code=CREATED, response_model=CustomerAnswer, tags=["customers"])
def post_customer(request: CreateCustomerRequest, context: Context) -> Any:
    """Create a customer. The same customer again is no change; usage that waited for it counts."""
    customer = customer_from_dict(given_fields(request))
    return customer_to_dict(create_customer(context, customer=customer))


@router.get("/customers", response_model=ListAnswer[CustomerAnswer], tags=["customers"])
def get_customers(context: Context, page: WantedPage) -> Any:
    """List customers by id."""
    return page_to_json(list_customers(context, page=page), show=customer_to_dict)


@router.get(
    "/customers/{customer_id:path}/upcoming-invoice",
    response_model=UpcomingInvoiceAnswer,
    tags=["customers"],
)
def get_upcoming_invoice(
    customer_id: str,
    context: Context,
    subscription: Annotated[
        str | None, Query(description="Only this subscription; unset: all together.")
    ] = None,
) -> Any:
    """Show what a customer would be invoiced for the running periods, as of now.

    It is built by the same functions as the final invoice. `unpriced` is usage that no price
    charges: it is counted, rated 0 and shown.
    """
    draft = upcoming_invoice(context, customer_id=customer_id, subscription_id=subscription)
    return JSONResponse(draft)


@router.get("/customers/{customer_id:path}", response_model=CustomerAnswer, tags=["customers"])
def get_customer(customer_id: str, context: Context) -> Any:
    """Show a customer."""
    return customer_to_dict(show_customer(context, customer_id=customer_id))


@router.post(
    "/subscriptions", status_code=CREATED, response_model=SubscriptionAnswer, tags=["subscriptions"]
)
def post_subscription(request: CreateSubscriptionRequest, context: Context) -> Any:
    """Start a subscription. The same subscription again is no change."""
    entry: SubscriptionEntry = subscription_entry_from_dict(given_fields(request))
    return _shown(context, create_subscription(context, entry=entry).subscription)


@router.get("/subscriptions", response_model=ListAnswer[SubscriptionAnswer], tags=["subscriptions"])
def get_subscriptions(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only those of one customer.")] = None,
) -> Any:
    """List subscriptions by id."""
    found = list_subscriptions(context, page=page, customer_id=customer)
    return page_to_json(found, show=lambda each: _shown(context, each))


@router.get(
    "/subscriptions/{subscription_id:path}",
    response_model=SubscriptionAnswer,
    tags=["subscriptions"],
)
def get_subscription(subscription_id: str, context: Context) -> Any:
    """Show a subscription."""
    return _shown(context, show_subscription(context, subscription_id=subscription_id))


@router.get("/usage", response_model=UsageAnswerModel, tags=["usage"])
def get_usage(
    context: Context,
    customer: Annotated[str, Query(description="Whose usage.")],
    meter: Annotated[str, Query(description="Of which meter.")],
    start: Annotated[str, Query(description="RFC 3339 instant on a whole minute.")],
    end: Annotated[str, Query(description="RFC 3339 instant on a whole minute, exclusive.")],
    group_by: Annotated[
        list[str] | None, Query(description="Dimensions whose values are told apart.")
    ] = None,
    where: Annotated[
        list[str] | None, Query(description="`dimension=value` that usage must carry.")
    ] = None,
) -> Any:
    """Show what a customer used of one meter in a window, grouped by dimensions."""
    query = UsageQuery(
        customer_id=customer,
        meter_key=meter,
        start=instant_of(start, field="start"),
        end=instant_of(end, field="end"),
        group_by=tuple(group_by or ()),
        where=dict(dimension_filter(each) for each in where or ()),
    )
    answer = query_usage(context, query=query)
    return {
        "customer": customer,
        "meter": meter,
        "unit": answer.meter.unit,
        "window": {"start": start, "end": end},
        "data": [
            {
                "dimensions": group.dimensions,
                "quantity": plain_decimal(group.quantity),
                "event_count": group.event_count,
            }
            for group in answer.groups
        ],
    }


def _shown(context: ServiceContext, subscription: Subscription) -> dict[str, Any]:
    return subscription_to_json(
        subscription,
        now=context.clock.now(),
        current=current_period(context, subscription=subscription),
        rating_failed_reason=rating_failed_reason(context, subscription=subscription),
    )
