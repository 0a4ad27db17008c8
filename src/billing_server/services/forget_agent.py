"""Agents that do not come back: their leases are presumed used, or released by a person."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog

from billing_server.domain.limit.lease import Lease, LeaseState, released, written_off
from billing_server.domain.ports.agents import Agent
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.audit import note_action
from billing_server.services.context import ServiceContext
from metering.errors import InvalidStateError, NotFoundError

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ForgottenAgent:
    """What forgetting an agent came to."""

    agent: Agent
    """The agent."""
    lease_count: int
    """Leases that are presumed used since. >= 0."""
    forget_time: datetime
    """When."""


def forget_agent(context: ServiceContext, *, name: str, actor: str) -> ForgottenAgent:
    """Declare an agent, or one of its disks, lost: what its leases hold is presumed used.

    It is never billed, and it stays off the limit until a person releases it. An agent that comes
    back all the same gives back what it has not used, and goes on with new leases.

    Args:
        context: the world.
        name: of the agent or disk, or its id.
        actor: who does it.

    Raises:
        NotFoundError: AGENT_UNKNOWN.
    """
    now = context.clock.now()
    with context.store.write() as unit:
        agent = unit.agents.by_name(name) or unit.agents.get(name)
        if agent is None:
            raise NotFoundError(
                reason="AGENT_UNKNOWN",
                message=f"no agent is named {name!r}: see `billing-server agents list`",
            )
        changed = _change_leases(
            unit,
            lease_ids=[lease.lease_id for lease in unit.leases.of_agent(agent.ref)],
            change=lambda lease: (replace(written_off(lease), told_in=None), 0),
        )
        unit.leases.forget_agent(agent.ref)
        unit.agents.forget(agent, at=now)
        note_action(
            unit,
            context=context,
            actor=actor,
            action="agent.forget",
            subject=agent.name,
            detail={
                "leases": len(changed),
                "last_seen": None if agent.last_seen is None else agent.last_seen.isoformat(),
            },
        )
    log.warning("agent_forgotten", agent_id=agent.agent_id, name=agent.name, leases=len(changed))
    return ForgottenAgent(agent, len(changed), now)


def release_lease(context: ServiceContext, *, lease_id: bytes, actor: str) -> Lease:
    """Give what a lost agent's lease is presumed to have used back to its limit.

    Should the agent have used it all the same, the limit is passed by that much: the published
    bound grows by it.

    Args:
        context: the world.
        lease_id: of a written-off lease.
        actor: who does it.

    Raises:
        NotFoundError: LEASE_NOT_FOUND.
        InvalidStateError: LEASE_NOT_WRITTEN_OFF.
    """
    with context.store.write() as unit:
        known = unit.leases.by_id([lease_id]).get(lease_id)
        if known is None:
            raise NotFoundError(
                reason="LEASE_NOT_FOUND",
                message=f"there is no lease {lease_id.hex()}: see `billing-server limits show`",
            )
        if known.state is not LeaseState.WRITTEN_OFF:
            raise InvalidStateError(
                reason="LEASE_NOT_WRITTEN_OFF",
                message=f"lease {lease_id.hex()} is {known.state}: only what a lost agent is "
                "presumed to have used can be released; see `billing-server agents forget`",
            )
        (lease,) = _change_leases(unit, lease_ids=[lease_id], change=released)
        note_action(
            unit,
            context=context,
            actor=actor,
            action="lease.release",
            subject=lease_id.hex(),
            detail={
                "customer": lease.key.customer_id,
                "limit": lease.key.limit_key,
                "window": lease.key.window_id,
                "amount": known.rest,
            },
        )
    log.warning("lease_released", lease_id=lease_id.hex(), amount=known.rest, actor=actor)
    return lease


def _change_leases(
    unit: UnitOfWork,
    *,
    lease_ids: Sequence[bytes],
    change: Callable[[Lease], tuple[Lease, int]],
) -> list[Lease]:
    """Changes leases under the locks of their accounts, and books what the bound grows by."""
    keys = {lease.key for lease in unit.leases.by_id(lease_ids).values()}
    accounts = unit.limits.lock_accounts(keys)
    changed = []
    for _, lease in sorted(unit.leases.by_id(lease_ids).items()):
        after, grown = change(lease)
        changed.append(after)
        account = accounts.get(lease.key)
        if grown and account is not None:
            accounts[lease.key] = replace(account, released=account.released + grown)
    unit.leases.put(changed)
    unit.limits.put_accounts(list(accounts.values()))
    unit.leases.announce({key.customer_id for key in keys})
    return changed
