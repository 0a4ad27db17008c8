"""What applying catalog files would change, with the place of what cannot be."""

import pytest

from billing_server.services.apply_catalog import ApplyMode
from billing_server.store.unit_of_work import SqlStore
from metering.errors import NotFoundError, ValidationError
from tests.billing_server.world import CATALOG, Usage, apply, make_context


@pytest.mark.parametrize("mode", list(ApplyMode))
def test_changes_that_cannot_be_are_told_together_with_their_lines_on_a_dry_run_too(
    memory_store: SqlStore, mode: ApplyMode
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    Usage(context).send("5", at="2026-02-01T00:00:00Z")
    wrong = (
        CATALOG.replace("aggregation: sum", "aggregation: max")
        .replace("currency: USD\n", "currency: EUR\n")
        .replace("name: Acme, currency: USD", "timezone: Asia/Tokyo")
        .replace("start: 2026-01-31", "start: 2026-01-30")
        + "  - {id: sub-2, customer: acme, plan: pro, start: 2024-01-31T10:00:00Z}\n"
    )
    with pytest.raises(ValidationError) as refused:
        apply(context, wrong, mode=mode)
    assert refused.value.reason == "CATALOG_CHANGE_REFUSED"
    found = [(each.description.split(": ")[:2], each.reason) for each in refused.value.violations]
    assert found == [
        (["catalog.yaml:3", "meters[0].aggregation"], "METER_HAS_USAGE"),
        (["catalog.yaml:7", "plans[0].currency"], "CURRENCY_MISMATCH"),
        (["catalog.yaml:15", "customers[0].timezone"], "NOT_SUPPORTED_YET"),
        (["catalog.yaml:17", "subscriptions[0].start"], "NOT_SUPPORTED_YET"),
        (["catalog.yaml:18", "subscriptions[1].start"], "START_TOO_FAR_BACK"),
    ]


def test_what_turns_out_wrong_in_carrying_it_out_is_told_with_its_place(
    memory_store: SqlStore,
) -> None:
    context = make_context(memory_store)
    apply(context, CATALOG)
    # The version that the subscription is on has no such price; the newest has.
    more = CATALOG.replace("key: base,", "key: more,")
    apply(context, more)
    own = more.replace("plan: pro,", 'plan: pro, overrides: {more: {amount: "1"}},')
    with pytest.raises(NotFoundError, match=r"catalog.yaml:17: subscriptions\[0\]: .*'more'"):
        apply(context, own)
