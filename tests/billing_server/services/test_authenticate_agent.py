import hashlib

import pytest
from sqlalchemy import text

from billing_server.services.authenticate_agent import authenticate_agent
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AuthenticationError
from tests.billing_server.ingest_world import START

TOKEN = "mat_secret"


@pytest.fixture
def enrolled(store: SqlStore) -> SqlStore:
    with store.write() as unit:
        unit.agents.enroll(
            agent_id="agt_1",
            name="host-1",
            token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest(),
            create_time=START,
        )
    return store


def test_a_token_names_its_agent(enrolled: SqlStore) -> None:
    assert authenticate_agent(enrolled, token=TOKEN).name == "host-1"


@pytest.mark.parametrize(
    ("token", "reason"),
    [(None, "TOKEN_MISSING"), ("", "TOKEN_MISSING"), ("mat_other", "TOKEN_UNKNOWN")],
)
def test_another_token_is_refused_with_the_remedy(
    enrolled: SqlStore, token: str | None, reason: str
) -> None:
    with pytest.raises(AuthenticationError, match="agent enroll") as raised:
        authenticate_agent(enrolled, token=token)
    assert raised.value.reason == reason
    assert TOKEN not in str(raised.value)


def test_a_revoked_token_is_unknown(enrolled: SqlStore) -> None:
    with enrolled.write() as unit:
        unit.connection.execute(text("UPDATE agent SET revoke_time = 1"))
    with pytest.raises(AuthenticationError):
        authenticate_agent(enrolled, token=TOKEN)
