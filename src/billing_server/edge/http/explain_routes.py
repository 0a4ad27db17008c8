"""`…/explain`, `…/events` and `…/comparison` of invoices, issued and upcoming."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from billing_server.edge.http.convert import page_to_json
from billing_server.edge.http.models import ListAnswer
from billing_server.edge.http.models_insight import (
    ComparisonAnswer,
    ExplainedInvoiceAnswer,
    LineEventAnswer,
)
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.compare_invoices import Basis, compare_invoices, compare_upcoming
from billing_server.services.explain_invoice import (
    DocumentRef,
    explain_invoice,
    list_line_events,
)

LINES_MAX = 100_000
"""Highest position of a line that is asked for."""

router = APIRouter(route_class=ApiRoute)

WantedLine = Annotated[
    int | None, Query(ge=0, le=LINES_MAX, description="Only the line at this position, from 0.")
]


@router.get(
    "/invoices/{number_or_id}/explain", response_model=ExplainedInvoiceAnswer, tags=["invoices"]
)
def get_explanation(number_or_id: str, context: Context, line: WantedLine = None) -> Any:
    """Explain an invoice: the arithmetic of each line, its price, its cost, and what was used."""
    document = DocumentRef(number_or_id=number_or_id)
    return explain_invoice(context, document=document, line_index=line)


@router.get(
    "/invoices/{number_or_id}/lines/{line}/events",
    response_model=ListAnswer[LineEventAnswer],
    tags=["invoices"],
)
def get_line_events(number_or_id: str, line: int, context: Context, page: WantedPage) -> Any:
    """List the events that a line counts, in order of their time.

    A page may be shorter than asked for and still have a `next_cursor`.
    """
    document = DocumentRef(number_or_id=number_or_id)
    found = list_line_events(context, document=document, line_index=line, page=page)
    return page_to_json(found, show=dict)


@router.get(
    "/customers/{customer_id:path}/upcoming-invoice/explain",
    response_model=ExplainedInvoiceAnswer,
    tags=["customers"],
)
def get_upcoming_explanation(customer_id: str, context: Context, line: WantedLine = None) -> Any:
    """Explain the upcoming invoice as of now, in the same form."""
    document = DocumentRef(customer_id=customer_id)
    return explain_invoice(context, document=document, line_index=line)


@router.get(
    "/customers/{customer_id:path}/upcoming-invoice/lines/{line}/events",
    response_model=ListAnswer[LineEventAnswer],
    tags=["customers"],
)
def get_upcoming_events(customer_id: str, line: int, context: Context, page: WantedPage) -> Any:
    """List the events that a line of the upcoming invoice counts so far."""
    document = DocumentRef(customer_id=customer_id)
    found = list_line_events(context, document=document, line_index=line, page=page)
    return page_to_json(found, show=dict)


@router.get(
    "/invoices/{number_or_id}/comparison", response_model=ComparisonAnswer, tags=["invoices"]
)
def get_comparison(
    number_or_id: str,
    context: Context,
    earlier: Annotated[
        str | None,
        Query(alias="with", description="The earlier one; unset: that of the period before."),
    ] = None,
) -> Any:
    """Tell why an invoice is not what the one before was: usage or price, line by line."""
    return compare_invoices(context, number_or_id=number_or_id, with_number=earlier)


@router.get(
    "/customers/{customer_id:path}/upcoming-invoice/comparison",
    response_model=ComparisonAnswer,
    tags=["customers"],
)
def get_upcoming_comparison(
    customer_id: str,
    context: Context,
    basis: Annotated[
        Basis, Query(description="The amounts as of now, or those of the estimate.")
    ] = Basis.SO_FAR,
) -> Any:
    """Compare the upcoming invoice with the last one of each of its subscriptions."""
    return compare_upcoming(context, customer_id=customer_id, basis=basis)
