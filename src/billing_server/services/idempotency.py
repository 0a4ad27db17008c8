"""Requests that carry an `Idempotency-Key`: a repeat gets the answer of the first."""

from datetime import timedelta

from billing_server.domain.ports.administration import RememberedRequest
from billing_server.services.context import ServiceContext
from metering.errors import AlreadyExistsError, ConflictError, ValidationError

KEY_BYTES_MAX = 255
"""Longest idempotency key that is taken."""
REMEMBERED_FOR = timedelta(hours=24)
"""How long an answer is kept for repeats, at least."""
CLAIM_LASTS = timedelta(seconds=60)
"""After this a request without an answer is taken for dead, and may be tried again."""
PURGE_LIMIT = 100
"""Old requests forgotten at a time, so that no request waits for a long clean-up."""


def scoped_key(key: str, *, owner: str) -> str:
    """Return a caller's key as it is kept: callers never meet each other's keys.

    Args:
        key: the header's value, 1..255 bytes.
        owner: name of the API key that sent it.

    Raises:
        ValidationError: IDEMPOTENCY_KEY_MALFORMED.
    """
    if not key.strip() or len(key.encode()) > KEY_BYTES_MAX:
        raise ValidationError(
            reason="IDEMPOTENCY_KEY_MALFORMED",
            message=f"Idempotency-Key must have 1 to {KEY_BYTES_MAX} bytes",
        )
    return f"{owner}/{key}"


def begin_request(
    context: ServiceContext, *, key: str, request_sha256: str
) -> RememberedRequest | None:
    """Claim an idempotency key before its request is worked on.

    Returns:
        The answer to repeat, or None where the request is to be carried out.

    Raises:
        AlreadyExistsError: IDEMPOTENCY_KEY_REUSED, another request carries this key.
        ConflictError: REQUEST_IN_PROGRESS, the first try has not been answered yet.
    """
    now = context.wall_clock.now()
    with context.store.write() as unit:
        unit.idempotency.purge(created_before=now - REMEMBERED_FOR, limit=PURGE_LIMIT)
        claim = RememberedRequest(
            key=key,
            request_sha256=request_sha256,
            response_code=0,
            response_body="",
            create_time=now,
        )
        is_claimed = unit.idempotency.claim(claim)
        known = None if is_claimed else unit.idempotency.get(key)
        if known is not None and known.response_code == 0:
            is_dead = now - known.create_time > CLAIM_LASTS
            if is_dead and known.request_sha256 == request_sha256:
                unit.idempotency.release(key)
                unit.idempotency.claim(claim)
                known = None
    return None if known is None else _answer_of(known, request_sha256=request_sha256)


def _answer_of(known: RememberedRequest, *, request_sha256: str) -> RememberedRequest:
    if known.request_sha256 != request_sha256:
        raise AlreadyExistsError(
            reason="IDEMPOTENCY_KEY_REUSED",
            message="another request was sent with this Idempotency-Key; make a new key for "
            "each new request and keep it for its repeats only",
        )
    if known.response_code == 0:
        raise ConflictError(
            reason="REQUEST_IN_PROGRESS",
            message="the first request with this Idempotency-Key is still being worked on",
            retry_after_seconds=1,
        )
    return known


def complete_request(
    context: ServiceContext, *, key: str, request_sha256: str, response_code: int, body: str
) -> None:
    """Remember the answer of a request, for its repeats."""
    with context.store.write() as unit:
        unit.idempotency.complete(
            RememberedRequest(
                key=key,
                request_sha256=request_sha256,
                response_code=response_code,
                response_body=body,
                create_time=context.wall_clock.now(),
            )
        )


def release_request(context: ServiceContext, *, key: str) -> None:
    """Forget a request that failed: it changed nothing, so it may be tried again."""
    with context.store.write() as unit:
        unit.idempotency.release(key)
