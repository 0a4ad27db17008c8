"""The ports of administration are implemented."""

import pytest

from billing_server.domain.ports.administration import (
    ApiKeyRepository,
    ClockRepository,
    IdempotencyRepository,
)
from billing_server.store.administration_repository import (
    SqlApiKeyRepository,
    SqlClockRepository,
    SqlIdempotencyRepository,
)
from tests.billing_server.domain.ports.conformance import differences


@pytest.mark.parametrize(
    ("port", "implementation"),
    [
        (ApiKeyRepository, SqlApiKeyRepository),
        (ClockRepository, SqlClockRepository),
        (IdempotencyRepository, SqlIdempotencyRepository),
    ],
)
def test_the_repository_has_every_method_of_its_port(port: type, implementation: type) -> None:
    assert differences(port, implementation) == []
