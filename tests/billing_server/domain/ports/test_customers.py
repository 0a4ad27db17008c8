"""The ports of customers, subscriptions and periods are implemented."""

import pytest

from billing_server.domain.ports.customers import (
    BillingPeriodRepository,
    CustomerRepository,
    SubscriptionRepository,
)
from billing_server.store.billing_period_repository import SqlBillingPeriodRepository
from billing_server.store.customer_repository import SqlCustomerRepository
from billing_server.store.subscription_repository import SqlSubscriptionRepository
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [
        (BillingPeriodRepository, SqlBillingPeriodRepository),
        (CustomerRepository, SqlCustomerRepository),
        (SubscriptionRepository, SqlSubscriptionRepository),
    ],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
