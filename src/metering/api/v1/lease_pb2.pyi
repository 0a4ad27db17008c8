import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LimitKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LIMIT_KIND_UNSPECIFIED: _ClassVar[LimitKind]
    LIMIT_KIND_UNITS: _ClassVar[LimitKind]
    LIMIT_KIND_MONEY: _ClassVar[LimitKind]
    LIMIT_KIND_RATE: _ClassVar[LimitKind]
    LIMIT_KIND_CONCURRENCY: _ClassVar[LimitKind]
    LIMIT_KIND_ROLLING: _ClassVar[LimitKind]

class Enforcement(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ENFORCEMENT_UNSPECIFIED: _ClassVar[Enforcement]
    ENFORCEMENT_HARD: _ClassVar[Enforcement]
    ENFORCEMENT_SOFT: _ClassVar[Enforcement]
    ENFORCEMENT_SHADOW: _ClassVar[Enforcement]

class OfflinePolicy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OFFLINE_POLICY_UNSPECIFIED: _ClassVar[OfflinePolicy]
    OFFLINE_POLICY_CLOSED: _ClassVar[OfflinePolicy]
    OFFLINE_POLICY_ALLOWANCE: _ClassVar[OfflinePolicy]
    OFFLINE_POLICY_OPEN: _ClassVar[OfflinePolicy]

class ExpiryBilling(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPIRY_BILLING_UNSPECIFIED: _ClassVar[ExpiryBilling]
    EXPIRY_BILLING_INPUT: _ClassVar[ExpiryBilling]
    EXPIRY_BILLING_USED_SO_FAR: _ClassVar[ExpiryBilling]
    EXPIRY_BILLING_MAX: _ClassVar[ExpiryBilling]

class LeaseResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEASE_RESULT_UNSPECIFIED: _ClassVar[LeaseResult]
    LEASE_RESULT_OK: _ClassVar[LeaseResult]
    LEASE_RESULT_FENCED: _ClassVar[LeaseResult]
    LEASE_RESULT_IDENTITY_TAKEN: _ClassVar[LeaseResult]
LIMIT_KIND_UNSPECIFIED: LimitKind
LIMIT_KIND_UNITS: LimitKind
LIMIT_KIND_MONEY: LimitKind
LIMIT_KIND_RATE: LimitKind
LIMIT_KIND_CONCURRENCY: LimitKind
LIMIT_KIND_ROLLING: LimitKind
ENFORCEMENT_UNSPECIFIED: Enforcement
ENFORCEMENT_HARD: Enforcement
ENFORCEMENT_SOFT: Enforcement
ENFORCEMENT_SHADOW: Enforcement
OFFLINE_POLICY_UNSPECIFIED: OfflinePolicy
OFFLINE_POLICY_CLOSED: OfflinePolicy
OFFLINE_POLICY_ALLOWANCE: OfflinePolicy
OFFLINE_POLICY_OPEN: OfflinePolicy
EXPIRY_BILLING_UNSPECIFIED: ExpiryBilling
EXPIRY_BILLING_INPUT: ExpiryBilling
EXPIRY_BILLING_USED_SO_FAR: ExpiryBilling
EXPIRY_BILLING_MAX: ExpiryBilling
LEASE_RESULT_UNSPECIFIED: LeaseResult
LEASE_RESULT_OK: LeaseResult
LEASE_RESULT_FENCED: LeaseResult
LEASE_RESULT_IDENTITY_TAKEN: LeaseResult

class PriceStep(_message.Message):
    __slots__ = ("from_quantity", "unit_price", "flat_price")
    FROM_QUANTITY_FIELD_NUMBER: _ClassVar[int]
    UNIT_PRICE_FIELD_NUMBER: _ClassVar[int]
    FLAT_PRICE_FIELD_NUMBER: _ClassVar[int]
    from_quantity: str
    unit_price: str
    flat_price: str
    def __init__(self, from_quantity: _Optional[str] = ..., unit_price: _Optional[str] = ..., flat_price: _Optional[str] = ...) -> None: ...

class PriceBound(_message.Message):
    __slots__ = ("meter_key", "quantity", "meter_where", "where", "is_count", "steps", "event_price", "is_not_estimable")
    class MeterWhereEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class WhereEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    METER_KEY_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    METER_WHERE_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    IS_COUNT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    EVENT_PRICE_FIELD_NUMBER: _ClassVar[int]
    IS_NOT_ESTIMABLE_FIELD_NUMBER: _ClassVar[int]
    meter_key: str
    quantity: str
    meter_where: _containers.ScalarMap[str, str]
    where: _containers.ScalarMap[str, str]
    is_count: bool
    steps: _containers.RepeatedCompositeFieldContainer[PriceStep]
    event_price: str
    is_not_estimable: bool
    def __init__(self, meter_key: _Optional[str] = ..., quantity: _Optional[str] = ..., meter_where: _Optional[_Mapping[str, str]] = ..., where: _Optional[_Mapping[str, str]] = ..., is_count: _Optional[bool] = ..., steps: _Optional[_Iterable[_Union[PriceStep, _Mapping]]] = ..., event_price: _Optional[str] = ..., is_not_estimable: _Optional[bool] = ...) -> None: ...

class LimitTerms(_message.Message):
    __slots__ = ("limit_key", "kind", "quantity", "where", "is_count", "decimals", "max", "enforcement", "when_offline", "allowance", "max_hold", "bill_on_expiry", "currency", "prices", "window_id", "window_remaining", "remaining", "is_tail", "rolling_length", "burst")
    class WhereEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    QUANTITY_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    IS_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECIMALS_FIELD_NUMBER: _ClassVar[int]
    MAX_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    WHEN_OFFLINE_FIELD_NUMBER: _ClassVar[int]
    ALLOWANCE_FIELD_NUMBER: _ClassVar[int]
    MAX_HOLD_FIELD_NUMBER: _ClassVar[int]
    BILL_ON_EXPIRY_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    WINDOW_REMAINING_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    IS_TAIL_FIELD_NUMBER: _ClassVar[int]
    ROLLING_LENGTH_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    limit_key: str
    kind: LimitKind
    quantity: str
    where: _containers.ScalarMap[str, str]
    is_count: bool
    decimals: int
    max: int
    enforcement: Enforcement
    when_offline: OfflinePolicy
    allowance: int
    max_hold: _duration_pb2.Duration
    bill_on_expiry: ExpiryBilling
    currency: str
    prices: _containers.RepeatedCompositeFieldContainer[PriceBound]
    window_id: str
    window_remaining: _duration_pb2.Duration
    remaining: int
    is_tail: bool
    rolling_length: _duration_pb2.Duration
    burst: int
    def __init__(self, limit_key: _Optional[str] = ..., kind: _Optional[_Union[LimitKind, str]] = ..., quantity: _Optional[str] = ..., where: _Optional[_Mapping[str, str]] = ..., is_count: _Optional[bool] = ..., decimals: _Optional[int] = ..., max: _Optional[int] = ..., enforcement: _Optional[_Union[Enforcement, str]] = ..., when_offline: _Optional[_Union[OfflinePolicy, str]] = ..., allowance: _Optional[int] = ..., max_hold: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., bill_on_expiry: _Optional[_Union[ExpiryBilling, str]] = ..., currency: _Optional[str] = ..., prices: _Optional[_Iterable[_Union[PriceBound, _Mapping]]] = ..., window_id: _Optional[str] = ..., window_remaining: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., remaining: _Optional[int] = ..., is_tail: _Optional[bool] = ..., rolling_length: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., burst: _Optional[int] = ...) -> None: ...

class CustomerTerms(_message.Message):
    __slots__ = ("customer_id", "revision", "limits", "is_unknown")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    IS_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    revision: int
    limits: _containers.RepeatedCompositeFieldContainer[LimitTerms]
    is_unknown: bool
    def __init__(self, customer_id: _Optional[str] = ..., revision: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[LimitTerms, _Mapping]]] = ..., is_unknown: _Optional[bool] = ...) -> None: ...

class LeaseCounters(_message.Message):
    __slots__ = ("lease_id", "customer_id", "limit_key", "window_id", "granted", "returned", "settled", "remaining_duration", "is_recalled", "consumed", "held", "recall_no", "starts_after", "rate_per_minute", "burst", "is_closed")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_DURATION_FIELD_NUMBER: _ClassVar[int]
    IS_RECALLED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    RECALL_NO_FIELD_NUMBER: _ClassVar[int]
    STARTS_AFTER_FIELD_NUMBER: _ClassVar[int]
    RATE_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    BURST_FIELD_NUMBER: _ClassVar[int]
    IS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    lease_id: bytes
    customer_id: str
    limit_key: str
    window_id: str
    granted: int
    returned: int
    settled: int
    remaining_duration: _duration_pb2.Duration
    is_recalled: bool
    consumed: int
    held: int
    recall_no: int
    starts_after: _duration_pb2.Duration
    rate_per_minute: int
    burst: int
    is_closed: bool
    def __init__(self, lease_id: _Optional[bytes] = ..., customer_id: _Optional[str] = ..., limit_key: _Optional[str] = ..., window_id: _Optional[str] = ..., granted: _Optional[int] = ..., returned: _Optional[int] = ..., settled: _Optional[int] = ..., remaining_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., is_recalled: _Optional[bool] = ..., consumed: _Optional[int] = ..., held: _Optional[int] = ..., recall_no: _Optional[int] = ..., starts_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., rate_per_minute: _Optional[int] = ..., burst: _Optional[int] = ..., is_closed: _Optional[bool] = ...) -> None: ...

class LeaseWant(_message.Message):
    __slots__ = ("customer_id", "limit_key", "demand_per_second", "largest_call", "is_urgent", "outage_float")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    DEMAND_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    LARGEST_CALL_FIELD_NUMBER: _ClassVar[int]
    IS_URGENT_FIELD_NUMBER: _ClassVar[int]
    OUTAGE_FLOAT_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    limit_key: str
    demand_per_second: int
    largest_call: int
    is_urgent: bool
    outage_float: int
    def __init__(self, customer_id: _Optional[str] = ..., limit_key: _Optional[str] = ..., demand_per_second: _Optional[int] = ..., largest_call: _Optional[int] = ..., is_urgent: _Optional[bool] = ..., outage_float: _Optional[int] = ...) -> None: ...

class ReservationKey(_message.Message):
    __slots__ = ("customer_id", "reservation_id")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    reservation_id: str
    def __init__(self, customer_id: _Optional[str] = ..., reservation_id: _Optional[str] = ...) -> None: ...

class SyncLeasesRequest(_message.Message):
    __slots__ = ("session_no", "sync_no", "nonce", "server_incarnation", "leases", "wants", "disk_id", "terms_revision", "customer_ids", "answer_at_once", "dropped", "calm", "heard_answer_no")
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    DISK_ID_FIELD_NUMBER: _ClassVar[int]
    TERMS_REVISION_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_AT_ONCE_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    CALM_FIELD_NUMBER: _ClassVar[int]
    HEARD_ANSWER_NO_FIELD_NUMBER: _ClassVar[int]
    session_no: int
    sync_no: int
    nonce: bytes
    server_incarnation: str
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    wants: _containers.RepeatedCompositeFieldContainer[LeaseWant]
    disk_id: bytes
    terms_revision: int
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    answer_at_once: bool
    dropped: _containers.RepeatedCompositeFieldContainer[ReservationKey]
    calm: _duration_pb2.Duration
    heard_answer_no: int
    def __init__(self, session_no: _Optional[int] = ..., sync_no: _Optional[int] = ..., nonce: _Optional[bytes] = ..., server_incarnation: _Optional[str] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., wants: _Optional[_Iterable[_Union[LeaseWant, _Mapping]]] = ..., disk_id: _Optional[bytes] = ..., terms_revision: _Optional[int] = ..., customer_ids: _Optional[_Iterable[str]] = ..., answer_at_once: _Optional[bool] = ..., dropped: _Optional[_Iterable[_Union[ReservationKey, _Mapping]]] = ..., calm: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., heard_answer_no: _Optional[int] = ...) -> None: ...

class SyncLeasesResponse(_message.Message):
    __slots__ = ("sync_no", "leases", "server_time", "result", "customers", "terms_revision", "settled_elsewhere", "retry_after", "answer_no")
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    TERMS_REVISION_FIELD_NUMBER: _ClassVar[int]
    SETTLED_ELSEWHERE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    ANSWER_NO_FIELD_NUMBER: _ClassVar[int]
    sync_no: int
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    server_time: _timestamp_pb2.Timestamp
    result: LeaseResult
    customers: _containers.RepeatedCompositeFieldContainer[CustomerTerms]
    terms_revision: int
    settled_elsewhere: _containers.RepeatedCompositeFieldContainer[ReservationKey]
    retry_after: _duration_pb2.Duration
    answer_no: int
    def __init__(self, sync_no: _Optional[int] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., result: _Optional[_Union[LeaseResult, str]] = ..., customers: _Optional[_Iterable[_Union[CustomerTerms, _Mapping]]] = ..., terms_revision: _Optional[int] = ..., settled_elsewhere: _Optional[_Iterable[_Union[ReservationKey, _Mapping]]] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., answer_no: _Optional[int] = ...) -> None: ...

class AcquireLeaseRequest(_message.Message):
    __slots__ = ("session_no", "sync_no", "nonce", "server_incarnation", "leases", "disk_id", "customer_ids", "granted_min")
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    DISK_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_IDS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_MIN_FIELD_NUMBER: _ClassVar[int]
    session_no: int
    sync_no: int
    nonce: bytes
    server_incarnation: str
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    disk_id: bytes
    customer_ids: _containers.RepeatedScalarFieldContainer[str]
    granted_min: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, session_no: _Optional[int] = ..., sync_no: _Optional[int] = ..., nonce: _Optional[bytes] = ..., server_incarnation: _Optional[str] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., disk_id: _Optional[bytes] = ..., customer_ids: _Optional[_Iterable[str]] = ..., granted_min: _Optional[_Iterable[int]] = ...) -> None: ...

class AcquireLeaseResponse(_message.Message):
    __slots__ = ("leases", "result", "customers")
    LEASES_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    CUSTOMERS_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    result: LeaseResult
    customers: _containers.RepeatedCompositeFieldContainer[CustomerTerms]
    def __init__(self, leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., result: _Optional[_Union[LeaseResult, str]] = ..., customers: _Optional[_Iterable[_Union[CustomerTerms, _Mapping]]] = ...) -> None: ...
