"""The details of an error on the wire, written without the messages of google.rpc.

They are in a package that the SDK does not need, and tests of its users should not either.
"""

DETAILS_KEY = "grpc-status-details-bin"
_ERROR_INFO_URL = b"type.googleapis.com/google.rpc.ErrorInfo"
_BYTES_WIRE_TYPE = 2
_SEVEN_BITS = 0x7F
_MORE = 0x80


def details_of_reason(reason: str) -> bytes:
    """Returns a serialized google.rpc.Status whose one detail is an ErrorInfo with this reason."""
    error_info = _field(1, reason.encode())
    return _field(3, _field(1, _ERROR_INFO_URL) + _field(2, error_info))


def _field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | _BYTES_WIRE_TYPE]) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > _SEVEN_BITS:
        digits.append(value & _SEVEN_BITS | _MORE)
        value >>= 7
    digits.append(value)
    return bytes(digits)
