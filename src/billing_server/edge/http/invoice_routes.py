"""`/v1/invoices`: documents are answered as they were written, byte for byte."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from billing_server.domain.invoice.model import InvoiceReason, InvoiceState
from billing_server.domain.ports.invoices import InvoiceFilter
from billing_server.edge.http.convert import page_to_json
from billing_server.edge.http.models import InvoiceAnswer, ListAnswer
from billing_server.edge.http.parameters import WantedPage
from billing_server.edge.http.route import ApiRoute, Context
from billing_server.services.list_invoices import list_invoices, show_invoice

router = APIRouter(route_class=ApiRoute, tags=["invoices"])


@router.get("/invoices", response_model=ListAnswer[InvoiceAnswer])
def get_invoices(
    context: Context,
    page: WantedPage,
    customer: Annotated[str | None, Query(description="Only those of one customer.")] = None,
    subscription: Annotated[str | None, Query(description="Only one subscription's.")] = None,
    state: Annotated[InvoiceState | None, Query(description="Only those in one state.")] = None,
    reason: Annotated[
        InvoiceReason | None, Query(description="Only those made for one reason.")
    ] = None,
) -> Any:
    """List issued invoices in the order of issue."""
    wanted = InvoiceFilter(
        customer_id=customer, subscription_id=subscription, state=state, reason=reason
    )
    return JSONResponse(page_to_json(list_invoices(context, page=page, wanted=wanted), show=dict))


@router.get("/invoices/{number_or_id}", response_model=InvoiceAnswer)
def get_invoice(number_or_id: str, context: Context) -> Any:
    """Show an invoice by its number (`INV-000001`) or its id (`inv_…`)."""
    return JSONResponse(show_invoice(context, number_or_id=number_or_id))
