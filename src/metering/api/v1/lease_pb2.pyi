import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LeaseCounters(_message.Message):
    __slots__ = ("lease_id", "customer_id", "limit_key", "window_id", "granted", "returned", "settled", "remaining_duration", "is_recalled")
    LEASE_ID_FIELD_NUMBER: _ClassVar[int]
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    WINDOW_ID_FIELD_NUMBER: _ClassVar[int]
    GRANTED_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    SETTLED_FIELD_NUMBER: _ClassVar[int]
    REMAINING_DURATION_FIELD_NUMBER: _ClassVar[int]
    IS_RECALLED_FIELD_NUMBER: _ClassVar[int]
    lease_id: bytes
    customer_id: str
    limit_key: str
    window_id: str
    granted: int
    returned: int
    settled: int
    remaining_duration: _duration_pb2.Duration
    is_recalled: bool
    def __init__(self, lease_id: _Optional[bytes] = ..., customer_id: _Optional[str] = ..., limit_key: _Optional[str] = ..., window_id: _Optional[str] = ..., granted: _Optional[int] = ..., returned: _Optional[int] = ..., settled: _Optional[int] = ..., remaining_duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., is_recalled: _Optional[bool] = ...) -> None: ...

class LeaseWant(_message.Message):
    __slots__ = ("customer_id", "limit_key", "demand_per_second")
    CUSTOMER_ID_FIELD_NUMBER: _ClassVar[int]
    LIMIT_KEY_FIELD_NUMBER: _ClassVar[int]
    DEMAND_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    customer_id: str
    limit_key: str
    demand_per_second: int
    def __init__(self, customer_id: _Optional[str] = ..., limit_key: _Optional[str] = ..., demand_per_second: _Optional[int] = ...) -> None: ...

class SyncLeasesRequest(_message.Message):
    __slots__ = ("session_no", "sync_no", "nonce", "server_incarnation", "leases", "wants")
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    WANTS_FIELD_NUMBER: _ClassVar[int]
    session_no: int
    sync_no: int
    nonce: bytes
    server_incarnation: str
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    wants: _containers.RepeatedCompositeFieldContainer[LeaseWant]
    def __init__(self, session_no: _Optional[int] = ..., sync_no: _Optional[int] = ..., nonce: _Optional[bytes] = ..., server_incarnation: _Optional[str] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., wants: _Optional[_Iterable[_Union[LeaseWant, _Mapping]]] = ...) -> None: ...

class SyncLeasesResponse(_message.Message):
    __slots__ = ("sync_no", "leases", "server_time")
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    sync_no: int
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, sync_no: _Optional[int] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class AcquireLeaseRequest(_message.Message):
    __slots__ = ("session_no", "sync_no", "nonce", "server_incarnation", "leases")
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    session_no: int
    sync_no: int
    nonce: bytes
    server_incarnation: str
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    def __init__(self, session_no: _Optional[int] = ..., sync_no: _Optional[int] = ..., nonce: _Optional[bytes] = ..., server_incarnation: _Optional[str] = ..., leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ...) -> None: ...

class AcquireLeaseResponse(_message.Message):
    __slots__ = ("leases",)
    LEASES_FIELD_NUMBER: _ClassVar[int]
    leases: _containers.RepeatedCompositeFieldContainer[LeaseCounters]
    def __init__(self, leases: _Optional[_Iterable[_Union[LeaseCounters, _Mapping]]] = ...) -> None: ...
