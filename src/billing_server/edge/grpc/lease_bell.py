"""Waiting for news of leases in the event loop: no thread and no transaction is held meanwhile."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from billing_server.domain.ports.news import EVERY_CUSTOMER, LeaseNews


class Waiter:
    """One call that waits; it collects the customers that had news."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._has_rung = asyncio.Event()

    def ring(self, customer_id: str) -> None:
        """Notes news of a customer."""
        self._rung.add(customer_id)
        self._has_rung.set()

    async def wait(self, *, seconds: float) -> frozenset[str]:
        """Returns the customers with news since the last look; empty once the time is over."""
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._has_rung.wait()
        except TimeoutError:
            return frozenset()
        self._has_rung.clear()
        rung, self._rung = self._rung, set()
        return frozenset(rung)


class LeaseBell:
    """Rings the calls that wait for a customer. Used in one event loop; heard from any thread.

    Args:
        news: What is announced, by this server or another one.
        loop: In which the calls wait.
    """

    def __init__(self, news: LeaseNews, *, loop: asyncio.AbstractEventLoop) -> None:
        self._loop: Final = loop
        self._waiters: dict[str, set[Waiter]] = {}
        self._everyone: set[Waiter] = set()
        self._stop: Callable[[], None] = news.listen(self._hear)

    @contextmanager
    def waiting_for(self, customer_ids: Collection[str]) -> Iterator[Waiter]:
        """Listens for news of customers, and of those for everyone, from here on."""
        waiter = Waiter()
        self._everyone.add(waiter)
        for customer_id in customer_ids:
            self._waiters.setdefault(customer_id, set()).add(waiter)
        try:
            yield waiter
        finally:
            self._everyone.discard(waiter)
            for customer_id in customer_ids:
                waiters = self._waiters.get(customer_id, set())
                waiters.discard(waiter)
                if not waiters:
                    self._waiters.pop(customer_id, None)

    def ring_everyone(self) -> None:
        """Lets every call that waits look; called in the loop."""
        self._ring(EVERY_CUSTOMER)

    def close(self) -> None:
        """Hears nothing any more."""
        self._stop()

    def _hear(self, customer_id: str) -> None:
        # The loop may have ended: whoever waited in it is gone.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ring, customer_id)

    def _ring(self, customer_id: str) -> None:
        is_for_all = customer_id == EVERY_CUSTOMER
        waiters = self._everyone if is_for_all else self._waiters.get(customer_id, set())
        for waiter in tuple(waiters):
            waiter.ring(customer_id)
