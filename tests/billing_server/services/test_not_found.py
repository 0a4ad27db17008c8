"""What is answered where nothing has the name or id that was given."""

import re
import shlex

import pytest
from typer.testing import CliRunner

from billing_server.cli.app import app
from billing_server.services.not_found import (
    customer_not_found,
    event_not_found,
    invoice_not_found,
    meter_not_found,
    plan_not_found,
    subscription_not_found,
)
from metering.errors import NotFoundError


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            event_not_found("e1", customer_id=None),
            "there is no event 'e1': see 'billing-server usage events'",
        ),
        (
            event_not_found("e1", customer_id="acme"),
            "there is no event 'e1' of customer 'acme': see 'billing-server usage events'",
        ),
        (
            invoice_not_found("INV-9"),
            "there is no invoice 'INV-9': see 'billing-server invoices list'",
        ),
        (
            meter_not_found("tokens"),
            "there is no meter 'tokens': see 'billing-server catalog list', or apply one",
        ),
        (
            plan_not_found("pro"),
            "there is no plan 'pro': see 'billing-server catalog list', or apply it",
        ),
        (
            subscription_not_found("s1", "s2"),
            "there is no subscription 's1', 's2': see 'billing-server subscriptions list'",
        ),
        (
            customer_not_found("acme"),
            "there is no customer 'acme': create it, or name it in a catalog file",
        ),
    ],
)
def test_it_is_told_what_is_missing_and_what_to_do(error: NotFoundError, told: str) -> None:
    assert error.message == told
    for command in re.findall(r"'billing-server ([a-z ]+)'", told):
        assert CliRunner().invoke(app, [*shlex.split(command), "--help"]).exit_code == 0
