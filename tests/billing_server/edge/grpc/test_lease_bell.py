"""Waiting for news in the event loop."""

import asyncio
from collections.abc import Callable

from billing_server.domain.ports.news import EVERY_CUSTOMER
from billing_server.edge.grpc.lease_bell import LeaseBell


class News:
    """Remembers who listens."""

    def __init__(self) -> None:
        self.hearers: list[Callable[[str], None]] = []

    def listen(self, hearer: Callable[[str], None]) -> Callable[[], None]:
        self.hearers.append(hearer)
        return lambda: self.hearers.remove(hearer)

    def tell(self, customer_id: str) -> None:
        for hearer in self.hearers:
            hearer(customer_id)


def test_a_call_is_woken_by_its_customers_and_by_news_for_everyone() -> None:
    async def play() -> list[frozenset[str]]:
        news = News()
        bell = LeaseBell(news, loop=asyncio.get_running_loop())
        heard = []
        with bell.waiting_for(["acme", "bela"]) as waiter:
            news.tell("other")
            heard.append(await waiter.wait(seconds=0.01))
            news.tell("bela")
            heard.append(await waiter.wait(seconds=5))
            news.tell(EVERY_CUSTOMER)
            heard.append(await waiter.wait(seconds=5))
        bell.close()
        assert news.hearers == []
        return heard

    assert asyncio.run(play()) == [frozenset(), {"bela"}, {EVERY_CUSTOMER}]


def test_news_before_the_wait_is_not_missed_and_comes_once() -> None:
    async def play() -> list[frozenset[str]]:
        news = News()
        bell = LeaseBell(news, loop=asyncio.get_running_loop())
        with bell.waiting_for(["acme"]) as waiter, bell.waiting_for(["acme"]) as other:
            news.tell("acme")
            news.tell("acme")
            first = await waiter.wait(seconds=5)
            return [first, await waiter.wait(seconds=0), await other.wait(seconds=5)]

    assert asyncio.run(play()) == [{"acme"}, frozenset(), {"acme"}]


def test_news_after_the_loop_has_ended_is_for_nobody() -> None:
    news = News()
    loop = asyncio.new_event_loop()
    LeaseBell(news, loop=loop)
    loop.close()
    news.tell("acme")
