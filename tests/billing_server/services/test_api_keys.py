"""API keys are shown once and kept as hashes."""

import pytest

from billing_server.services.api_keys import (
    authenticate_api_key,
    create_api_key,
    register_api_key,
    sha256_of_secret,
)
from billing_server.store.unit_of_work import SqlStore
from metering.errors import AuthenticationError
from tests.billing_server.world import make_context


def test_a_key_authenticates_its_user_and_only_its_hash_is_kept(store: SqlStore) -> None:
    context = make_context(store)
    key = create_api_key(context, name="console")
    known = authenticate_api_key(context, key=key)
    assert (known.name, known.sha256) == ("console", sha256_of_secret(key))
    assert key.startswith("mak_")
    assert key not in repr(known)


@pytest.mark.parametrize(
    ("key", "reason"),
    [(None, "API_KEY_MISSING"), ("", "API_KEY_MISSING"), ("mak_wrong", "API_KEY_UNKNOWN")],
)
def test_a_missing_or_wrong_key_is_refused(store: SqlStore, key: str | None, reason: str) -> None:
    context = make_context(store)
    create_api_key(context, name="console")
    with pytest.raises(AuthenticationError) as refused:
        authenticate_api_key(context, key=key)
    assert refused.value.reason == reason


def test_a_new_key_of_the_same_name_replaces_the_old_one(store: SqlStore) -> None:
    context = make_context(store)
    register_api_key(context, name="admin", key="first")
    register_api_key(context, name="admin", key="second")
    assert authenticate_api_key(context, key="second").name == "admin"
    with pytest.raises(AuthenticationError):
        authenticate_api_key(context, key="first")
