import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SettlementKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SETTLEMENT_KIND_UNSPECIFIED: _ClassVar[SettlementKind]
    SETTLEMENT_KIND_SETTLED: _ClassVar[SettlementKind]
    SETTLEMENT_KIND_RELEASED: _ClassVar[SettlementKind]
    SETTLEMENT_KIND_LATE: _ClassVar[SettlementKind]
    SETTLEMENT_KIND_ELSEWHERE: _ClassVar[SettlementKind]
    SETTLEMENT_KIND_EXPIRED: _ClassVar[SettlementKind]

class AckLevel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACK_LEVEL_UNSPECIFIED: _ClassVar[AckLevel]
    ACK_LEVEL_LOCAL: _ClassVar[AckLevel]
    ACK_LEVEL_SERVER: _ClassVar[AckLevel]
SETTLEMENT_KIND_UNSPECIFIED: SettlementKind
SETTLEMENT_KIND_SETTLED: SettlementKind
SETTLEMENT_KIND_RELEASED: SettlementKind
SETTLEMENT_KIND_LATE: SettlementKind
SETTLEMENT_KIND_ELSEWHERE: SettlementKind
SETTLEMENT_KIND_EXPIRED: SettlementKind
ACK_LEVEL_UNSPECIFIED: AckLevel
ACK_LEVEL_LOCAL: AckLevel
ACK_LEVEL_SERVER: AckLevel

class UsageEvent(_message.Message):
    __slots__ = ("event_id", "customer_id", "event_time", "quantities", "dimensions", "debits", "settlement")
    class QuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    DEBITS_FIELD_NUMBER: _ClassVar[int]
    SETTLEMENT_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    customer_id: str
    event_time: _timestamp_pb2.Timestamp
    quantities: _containers.ScalarMap[str, str]
    dimensions: _containers.ScalarMap[str, str]
    debits: _containers.RepeatedCompositeFieldContainer[Debit]
    settlement: Settlement
    def __init__(self, event_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quantities: _Optional[_Mapping[str, str]] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., debits: _Optional[_Iterable[_Union[Debit, _Mapping]]] = ..., settlement: _Optional[_Union[Settlement, _Mapping]] = ...) -> None: ...

class Debit(_message.Message):
    __slots__ = ("lease_id", "amount")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    lease_id: bytes
    amount: int
    def __init__(self, lease_id: _Optional[bytes] = ..., amount: _Optional[int] = ...) -> None: ...

class AllowanceUse(_message.Message):
    __slots__ = ("limit_key", "amount")
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_FIELD_NUMBER: _ClassVar[int]
    limit_key: str
    amount: int
    def __init__(self, limit_key: _Optional[str] = ..., amount: _Optional[int] = ...) -> None: ...

class Settlement(_message.Message):
    __slots__ = ("reservation_id", "kind", "voids_event_id", "allowances")
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    VOIDS_EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCES_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    kind: SettlementKind
    voids_event_id: str
    allowances: _containers.RepeatedCompositeFieldContainer[AllowanceUse]
    def __init__(self, reservation_id: _Optional[str] = ..., kind: _Optional[_Union[SettlementKind, str]] = ..., voids_event_id: _Optional[str] = ..., allowances: _Optional[_Iterable[_Union[AllowanceUse, _Mapping]]] = ...) -> None: ...

class RejectedEvent(_message.Message):
    __slots__ = ("index", "event_id", "reason", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    event_id: str
    reason: str
    message: str
    def __init__(self, index: _Optional[int] = ..., event_id: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
