"""API keys: made once, kept as a hash, compared in constant time."""

import hashlib
import hmac
from base64 import urlsafe_b64encode

from billing_server.domain.ports.administration import ApiKey
from billing_server.services.context import ServiceContext
from metering.errors import AuthenticationError

API_KEY_PREFIX = "mak_"
"""Makes a key recognisable to people and to secret scanners."""
API_KEY_BYTES = 32
"""Randomness of a key: 256 bits, so that a fast hash suffices."""
AUTHENTICATE_REMEDY = (
    "send the header 'Authorization: Bearer KEY'; the local key is in admin.key in the server's "
    "data directory"
)


def sha256_of_secret(secret: str) -> str:
    """Return the hash under which a key or token is kept, in hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def make_secret(context: ServiceContext, *, prefix: str) -> str:
    """Make a key or token that nobody can guess: the prefix and 43 URL-safe characters."""
    return prefix + urlsafe_b64encode(context.random_bytes(API_KEY_BYTES)).rstrip(b"=").decode()


def create_api_key(context: ServiceContext, *, name: str) -> str:
    """Make a key, or replace the one of this name.

    Returns:
        The key, which is not kept and cannot be shown again.
    """
    key = make_secret(context, prefix=API_KEY_PREFIX)
    register_api_key(context, name=name, key=key)
    return key


def register_api_key(context: ServiceContext, *, name: str, key: str) -> None:
    """Make a key that exists already known to this database."""
    with context.store.write() as unit:
        unit.api_keys.add(
            ApiKey(name=name, sha256=sha256_of_secret(key), create_time=context.clock.now())
        )


def authenticate_api_key(context: ServiceContext, *, key: str | None) -> ApiKey:
    """Tell whose key this is.

    Raises:
        AuthenticationError: API_KEY_MISSING or API_KEY_UNKNOWN.
    """
    if not key:
        raise AuthenticationError(
            reason="API_KEY_MISSING", message=f"no API key was sent: {AUTHENTICATE_REMEDY}"
        )
    sha256 = sha256_of_secret(key)
    with context.store.read() as unit:
        known = unit.api_keys.by_sha256(sha256)
    if known is None or not hmac.compare_digest(known.sha256, sha256):
        raise AuthenticationError(
            reason="API_KEY_UNKNOWN", message=f"this API key is not known: {AUTHENTICATE_REMEDY}"
        )
    return known
