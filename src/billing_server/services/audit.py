"""The audit: who did what that others may ask about."""

from collections.abc import Mapping

from billing_server.domain.ports.limits import AuditEntry
from billing_server.domain.ports.unit_of_work import UnitOfWork
from billing_server.services.context import ServiceContext
from billing_server.services.pages import Page, PageRequest, page_from
from metering.errors import ValidationError

SERVER = "server"
"""Actor of what the server does by itself."""


def note_action(
    unit: UnitOfWork,
    *,
    context: ServiceContext,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
) -> None:
    """Write an entry in the transaction that does what it tells of.

    Args:
        unit: the transaction.
        context: the world.
        actor: name of the API key.
        action: such as `agent.forget`.
        subject: what it is done to.
        detail: what else is to be known.
    """
    unit.audit.add(
        AuditEntry(
            actor=actor,
            action=action,
            subject=subject,
            detail=detail,
            create_time=context.wall_clock.now(),
        )
    )


def list_audit(context: ServiceContext, *, page: PageRequest) -> Page[AuditEntry]:
    """List what was done, the newest first.

    Raises:
        ValidationError: CURSOR_MALFORMED.
    """
    before = page.after
    if before is not None and not before.isdecimal():
        raise ValidationError(
            reason="CURSOR_MALFORMED",
            message="cursor is not one that this list has given; start again without it",
        )
    with context.store.read() as unit:
        found = unit.audit.page(
            before=None if before is None else int(before), limit=page.limit + 1
        )
    return page_from(found, request=page, key=lambda entry: str(entry.entry_no))
