import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metering.api.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Decision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_UNSPECIFIED: _ClassVar[Decision]
    DECISION_GRANTED: _ClassVar[Decision]
    DECISION_GRANTED_PARTIALLY: _ClassVar[Decision]
    DECISION_DENIED: _ClassVar[Decision]
DECISION_UNSPECIFIED: Decision
DECISION_GRANTED: Decision
DECISION_GRANTED_PARTIALLY: Decision
DECISION_DENIED: Decision

class RecordUsageRequest(_message.Message):
    __slots__ = ("events", "ack_level")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    ACK_LEVEL_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageEvent]
    ack_level: _usage_pb2.AckLevel
    def __init__(self, events: _Optional[_Iterable[_Union[_usage_pb2.UsageEvent, _Mapping]]] = ..., ack_level: _Optional[_Union[_usage_pb2.AckLevel, str]] = ...) -> None: ...

class RecordUsageResponse(_message.Message):
    __slots__ = ("accepted_count", "rejected", "agent_id")
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    accepted_count: int
    rejected: _containers.RepeatedCompositeFieldContainer[_usage_pb2.RejectedEvent]
    agent_id: str
    def __init__(self, accepted_count: _Optional[int] = ..., rejected: _Optional[_Iterable[_Union[_usage_pb2.RejectedEvent, _Mapping]]] = ..., agent_id: _Optional[str] = ...) -> None: ...

class QuotaDenial(_message.Message):
    __slots__ = ("limit_key", "remaining", "reset_time", "message", "reason", "retry_after")
    class RemainingEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_TIME_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    limit_key: str
    remaining: _containers.ScalarMap[str, str]
    reset_time: _timestamp_pb2.Timestamp
    message: str
    reason: str
    retry_after: _duration_pb2.Duration
    def __init__(self, limit_key: _Optional[str] = ..., remaining: _Optional[_Mapping[str, str]] = ..., reset_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., message: _Optional[str] = ..., reason: _Optional[str] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class CheckQuotaRequest(_message.Message):
    __slots__ = ("customer_id", "dimensions", "quantities", "minimum_quantities")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class QuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MinimumQuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    dimensions: _containers.ScalarMap[str, str]
    quantities: _containers.ScalarMap[str, str]
    minimum_quantities: _containers.ScalarMap[str, str]
    def __init__(self, customer_id: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., quantities: _Optional[_Mapping[str, str]] = ..., minimum_quantities: _Optional[_Mapping[str, str]] = ...) -> None: ...

class CheckQuotaResponse(_message.Message):
    __slots__ = ("decision", "denial", "granted", "exceeded")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DECISION_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    denial: QuotaDenial
    granted: _containers.ScalarMap[str, str]
    exceeded: _containers.RepeatedCompositeFieldContainer[QuotaDenial]
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., denial: _Optional[_Union[QuotaDenial, _Mapping]] = ..., granted: _Optional[_Mapping[str, str]] = ..., exceeded: _Optional[_Iterable[_Union[QuotaDenial, _Mapping]]] = ...) -> None: ...

class ReserveQuotaRequest(_message.Message):
    __slots__ = ("reservation_id", "customer_id", "dimensions", "quantities", "minimum_quantities", "ttl", "caller")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class QuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MinimumQuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    customer_id: str
    dimensions: _containers.ScalarMap[str, str]
    quantities: _containers.ScalarMap[str, str]
    minimum_quantities: _containers.ScalarMap[str, str]
    ttl: _duration_pb2.Duration
    caller: str
    def __init__(self, reservation_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., quantities: _Optional[_Mapping[str, str]] = ..., minimum_quantities: _Optional[_Mapping[str, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., caller: _Optional[str] = ...) -> None: ...

class ReserveQuotaResponse(_message.Message):
    __slots__ = ("decision", "granted", "denial", "expire_time", "exceeded")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DECISION_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    granted: _containers.ScalarMap[str, str]
    denial: QuotaDenial
    expire_time: _timestamp_pb2.Timestamp
    exceeded: _containers.RepeatedCompositeFieldContainer[QuotaDenial]
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., granted: _Optional[_Mapping[str, str]] = ..., denial: _Optional[_Union[QuotaDenial, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., exceeded: _Optional[_Iterable[_Union[QuotaDenial, _Mapping]]] = ...) -> None: ...

class ExtendReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "quantities", "used_so_far", "ttl", "request_id", "minimum_quantities")
    class QuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class UsedSoFarEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class MinimumQuantitiesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    USED_SO_FAR_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    quantities: _containers.ScalarMap[str, str]
    used_so_far: _containers.ScalarMap[str, str]
    ttl: _duration_pb2.Duration
    request_id: str
    minimum_quantities: _containers.ScalarMap[str, str]
    def __init__(self, reservation_id: _Optional[str] = ..., quantities: _Optional[_Mapping[str, str]] = ..., used_so_far: _Optional[_Mapping[str, str]] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., request_id: _Optional[str] = ..., minimum_quantities: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ExtendReservationResponse(_message.Message):
    __slots__ = ("decision", "granted", "denial", "expire_time")
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DECISION_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    DENIAL_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    granted: _containers.ScalarMap[str, str]
    denial: QuotaDenial
    expire_time: _timestamp_pb2.Timestamp
    def __init__(self, decision: _Optional[_Union[Decision, str]] = ..., granted: _Optional[_Mapping[str, str]] = ..., denial: _Optional[_Union[QuotaDenial, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SettleReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "quantities", "dimensions", "event_time", "customer_id")
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
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    quantities: _containers.ScalarMap[str, str]
    dimensions: _containers.ScalarMap[str, str]
    event_time: _timestamp_pb2.Timestamp
    customer_id: str
    def __init__(self, reservation_id: _Optional[str] = ..., quantities: _Optional[_Mapping[str, str]] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., customer_id: _Optional[str] = ...) -> None: ...

class SettleReservationResponse(_message.Message):
    __slots__ = ("event_id", "kind", "overrun")
    class OverrunEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    kind: _usage_pb2.SettlementKind
    overrun: _containers.ScalarMap[str, str]
    def __init__(self, event_id: _Optional[str] = ..., kind: _Optional[_Union[_usage_pb2.SettlementKind, str]] = ..., overrun: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ReleaseReservationRequest(_message.Message):
    __slots__ = ("reservation_id", "incurred_quantities", "customer_id", "dimensions", "event_time")
    class IncurredQuantitiesEntry(_message.Message):
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
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    INCURRED_QUANTITIES_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    incurred_quantities: _containers.ScalarMap[str, str]
    customer_id: str
    dimensions: _containers.ScalarMap[str, str]
    event_time: _timestamp_pb2.Timestamp
    def __init__(self, reservation_id: _Optional[str] = ..., incurred_quantities: _Optional[_Mapping[str, str]] = ..., customer_id: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ReleaseReservationResponse(_message.Message):
    __slots__ = ("event_id", "kind")
    EVENT_ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    event_id: str
    kind: _usage_pb2.SettlementKind
    def __init__(self, event_id: _Optional[str] = ..., kind: _Optional[_Union[_usage_pb2.SettlementKind, str]] = ...) -> None: ...

class ListUnsettledReservationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class UnsettledReservation(_message.Message):
    __slots__ = ("reservation_id", "customer_id", "caller", "dimensions", "granted", "used_so_far", "reserve_time", "expire_time", "is_returned")
    class DimensionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class GrantedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class UsedSoFarEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    RESERVATION_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    USED_SO_FAR_FIELD_NUMBER: _ClassVar[int]
    RESERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    IS_RETURNED_FIELD_NUMBER: _ClassVar[int]
    reservation_id: str
    customer_id: str
    caller: str
    dimensions: _containers.ScalarMap[str, str]
    granted: _containers.ScalarMap[str, str]
    used_so_far: _containers.ScalarMap[str, str]
    reserve_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    is_returned: bool
    def __init__(self, reservation_id: _Optional[str] = ..., customer_id: _Optional[str] = ..., caller: _Optional[str] = ..., dimensions: _Optional[_Mapping[str, str]] = ..., granted: _Optional[_Mapping[str, str]] = ..., used_so_far: _Optional[_Mapping[str, str]] = ..., reserve_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., is_returned: _Optional[bool] = ...) -> None: ...

class ListUnsettledReservationsResponse(_message.Message):
    __slots__ = ("reservations", "next_page_token")
    RESERVATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reservations: _containers.RepeatedCompositeFieldContainer[UnsettledReservation]
    next_page_token: str
    def __init__(self, reservations: _Optional[_Iterable[_Union[UnsettledReservation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetAgentStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetAgentStatusResponse(_message.Message):
    __slots__ = ("agent_id", "disk_id", "version", "start_time", "buffered_event_count", "buffered_bytes", "oldest_buffered_time", "next_seq", "applied_seq", "server_address", "is_server_reachable", "last_error", "disk_used_bytes", "disk_budget_bytes", "accepted_count", "rejected_count", "session_no", "safe_seq", "oldest_kept_time", "disk_warn_bytes", "disk_refuse_bytes", "counted_count", "duplicate_count", "conflict_count", "quarantined_count", "declared_lost_count", "gap_count", "imbalance_count", "server_incarnation", "offline_since_time", "slowest_commit_seconds", "warnings", "damaged_event_count", "refused_event_count", "limits", "lease_count", "held_reservation_count", "expired_reservation_count", "unsettled_reservation_count", "last_lease_sync_time", "leases_offline_since_time")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    DISK_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    BUFFERED_EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    BUFFERED_BYTES_FIELD_NUMBER: _ClassVar[int]
    OLDEST_BUFFERED_TIME_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SERVER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    IS_SERVER_REACHABLE_FIELD_NUMBER: _ClassVar[int]
    LAST_ERROR_FIELD_NUMBER: _ClassVar[int]
    DISK_USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_BUDGET_BYTES_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SAFE_SEQ_FIELD_NUMBER: _ClassVar[int]
    OLDEST_KEPT_TIME_FIELD_NUMBER: _ClassVar[int]
    DISK_WARN_BYTES_FIELD_NUMBER: _ClassVar[int]
    DISK_REFUSE_BYTES_FIELD_NUMBER: _ClassVar[int]
    COUNTED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DUPLICATE_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFLICT_COUNT_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_COUNT_FIELD_NUMBER: _ClassVar[int]
    DECLARED_LOST_COUNT_FIELD_NUMBER: _ClassVar[int]
    GAP_COUNT_FIELD_NUMBER: _ClassVar[int]
    IMBALANCE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    OFFLINE_SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    SLOWEST_COMMIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    LEASE_COUNT_FIELD_NUMBER: _ClassVar[int]
    HELD_RESERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXPIRED_RESERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    UNSETTLED_RESERVATION_COUNT_FIELD_NUMBER: _ClassVar[int]
    LAST_LEASE_SYNC_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASES_OFFLINE_SINCE_TIME_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    disk_id: str
    version: str
    start_time: _timestamp_pb2.Timestamp
    buffered_event_count: int
    buffered_bytes: int
    oldest_buffered_time: _timestamp_pb2.Timestamp
    next_seq: int
    applied_seq: int
    server_address: str
    is_server_reachable: bool
    last_error: str
    disk_used_bytes: int
    disk_budget_bytes: int
    accepted_count: int
    rejected_count: int
    session_no: int
    safe_seq: int
    oldest_kept_time: _timestamp_pb2.Timestamp
    disk_warn_bytes: int
    disk_refuse_bytes: int
    counted_count: int
    duplicate_count: int
    conflict_count: int
    quarantined_count: int
    declared_lost_count: int
    gap_count: int
    imbalance_count: int
    server_incarnation: str
    offline_since_time: _timestamp_pb2.Timestamp
    slowest_commit_seconds: float
    warnings: _containers.RepeatedScalarFieldContainer[str]
    damaged_event_count: int
    refused_event_count: int
    limits: _containers.RepeatedCompositeFieldContainer[LimitStatus]
    lease_count: int
    held_reservation_count: int
    expired_reservation_count: int
    unsettled_reservation_count: int
    last_lease_sync_time: _timestamp_pb2.Timestamp
    leases_offline_since_time: _timestamp_pb2.Timestamp
    def __init__(self, agent_id: _Optional[str] = ..., disk_id: _Optional[str] = ..., version: _Optional[str] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., buffered_event_count: _Optional[int] = ..., buffered_bytes: _Optional[int] = ..., oldest_buffered_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., next_seq: _Optional[int] = ..., applied_seq: _Optional[int] = ..., server_address: _Optional[str] = ..., is_server_reachable: _Optional[bool] = ..., last_error: _Optional[str] = ..., disk_used_bytes: _Optional[int] = ..., disk_budget_bytes: _Optional[int] = ..., accepted_count: _Optional[int] = ..., rejected_count: _Optional[int] = ..., session_no: _Optional[int] = ..., safe_seq: _Optional[int] = ..., oldest_kept_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disk_warn_bytes: _Optional[int] = ..., disk_refuse_bytes: _Optional[int] = ..., counted_count: _Optional[int] = ..., duplicate_count: _Optional[int] = ..., conflict_count: _Optional[int] = ..., quarantined_count: _Optional[int] = ..., declared_lost_count: _Optional[int] = ..., gap_count: _Optional[int] = ..., imbalance_count: _Optional[int] = ..., server_incarnation: _Optional[str] = ..., offline_since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., slowest_commit_seconds: _Optional[float] = ..., warnings: _Optional[_Iterable[str]] = ..., damaged_event_count: _Optional[int] = ..., refused_event_count: _Optional[int] = ..., limits: _Optional[_Iterable[_Union[LimitStatus, _Mapping]]] = ..., lease_count: _Optional[int] = ..., held_reservation_count: _Optional[int] = ..., expired_reservation_count: _Optional[int] = ..., unsettled_reservation_count: _Optional[int] = ..., last_lease_sync_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., leases_offline_since_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class LimitStatus(_message.Message):
    __slots__ = ("limit_key", "customer_count", "granted", "consumed", "held", "granted_offline", "refused_count", "exceeded_count", "when_offline", "enforcement", "uncovered", "overrun", "unit", "busiest")
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_COUNT_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    GRANTED_OFFLINE_FIELD_NUMBER: _ClassVar[int]
    REFUSED_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXCEEDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    WHEN_OFFLINE_FIELD_NUMBER: _ClassVar[int]
    ENFORCEMENT_FIELD_NUMBER: _ClassVar[int]
    UNCOVERED_FIELD_NUMBER: _ClassVar[int]
    OVERRUN_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    BUSIEST_FIELD_NUMBER: _ClassVar[int]
    limit_key: str
    customer_count: int
    granted: str
    consumed: str
    held: str
    granted_offline: str
    refused_count: int
    exceeded_count: int
    when_offline: str
    enforcement: str
    uncovered: str
    overrun: str
    unit: str
    busiest: _containers.RepeatedCompositeFieldContainer[CustomerLimitStatus]
    def __init__(self, limit_key: _Optional[str] = ..., customer_count: _Optional[int] = ..., granted: _Optional[str] = ..., consumed: _Optional[str] = ..., held: _Optional[str] = ..., granted_offline: _Optional[str] = ..., refused_count: _Optional[int] = ..., exceeded_count: _Optional[int] = ..., when_offline: _Optional[str] = ..., enforcement: _Optional[str] = ..., uncovered: _Optional[str] = ..., overrun: _Optional[str] = ..., unit: _Optional[str] = ..., busiest: _Optional[_Iterable[_Union[CustomerLimitStatus, _Mapping]]] = ...) -> None: ...

class CustomerLimitStatus(_message.Message):
    __slots__ = ("customer_id", "granted", "consumed", "held")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    CONSUMED_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    granted: str
    consumed: str
    held: str
    def __init__(self, customer_id: _Optional[str] = ..., granted: _Optional[str] = ..., consumed: _Optional[str] = ..., held: _Optional[str] = ...) -> None: ...
