import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from metering.api.v1 import lease_pb2 as _lease_pb2
from metering.api.v1 import usage_pb2 as _usage_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PushResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PUSH_RESULT_UNSPECIFIED: _ClassVar[PushResult]
    PUSH_RESULT_APPLIED: _ClassVar[PushResult]
    PUSH_RESULT_FENCED: _ClassVar[PushResult]
    PUSH_RESULT_GAP: _ClassVar[PushResult]
PUSH_RESULT_UNSPECIFIED: PushResult
PUSH_RESULT_APPLIED: PushResult
PUSH_RESULT_FENCED: PushResult
PUSH_RESULT_GAP: PushResult

class JoinFleetRequest(_message.Message):
    __slots__ = ("token_sha256", "host_name")
    TOKEN_SHA256_FIELD_NUMBER: _ClassVar[int]
    HOST_NAME_FIELD_NUMBER: _ClassVar[int]
    token_sha256: bytes
    host_name: str
    def __init__(self, token_sha256: _Optional[bytes] = ..., host_name: _Optional[str] = ...) -> None: ...

class JoinFleetResponse(_message.Message):
    __slots__ = ("agent_id", "name")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    name: str
    def __init__(self, agent_id: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class CheckAgentRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CheckAgentResponse(_message.Message):
    __slots__ = ("agent_id", "server_time")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    server_time: _timestamp_pb2.Timestamp
    def __init__(self, agent_id: _Optional[str] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OpenSessionRequest(_message.Message):
    __slots__ = ("disk_id", "nonce", "sync_no", "next_seq", "applied_seq", "earliest_kept_seq", "server_incarnation", "agent_version", "oldest_unshipped_event_time", "previous_disk_id", "leases", "has_leases")
    DISK_ID_FIELD_NUMBER: _ClassVar[int]
    NONCE_FIELD_NUMBER: _ClassVar[int]
    SYNC_NO_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_KEPT_SEQ_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    AGENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNSHIPPED_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_DISK_ID_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    HAS_LEASES_FIELD_NUMBER: _ClassVar[int]
    disk_id: bytes
    nonce: bytes
    sync_no: int
    next_seq: int
    applied_seq: int
    earliest_kept_seq: int
    server_incarnation: str
    agent_version: str
    oldest_unshipped_event_time: _timestamp_pb2.Timestamp
    previous_disk_id: bytes
    leases: _containers.RepeatedCompositeFieldContainer[_lease_pb2.LeaseCounters]
    has_leases: bool
    def __init__(self, disk_id: _Optional[bytes] = ..., nonce: _Optional[bytes] = ..., sync_no: _Optional[int] = ..., next_seq: _Optional[int] = ..., applied_seq: _Optional[int] = ..., earliest_kept_seq: _Optional[int] = ..., server_incarnation: _Optional[str] = ..., agent_version: _Optional[str] = ..., oldest_unshipped_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., previous_disk_id: _Optional[bytes] = ..., leases: _Optional[_Iterable[_Union[_lease_pb2.LeaseCounters, _Mapping]]] = ..., has_leases: _Optional[bool] = ...) -> None: ...

class OpenSessionResponse(_message.Message):
    __slots__ = ("agent_id", "session_no", "server_incarnation", "applied_seq", "safe_seq", "push_event_count_max", "push_bytes_max", "server_time", "leases", "answer_no")
    AGENT_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SAFE_SEQ_FIELD_NUMBER: _ClassVar[int]
    PUSH_EVENT_COUNT_MAX_FIELD_NUMBER: _ClassVar[int]
    PUSH_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    SERVER_TIME_FIELD_NUMBER: _ClassVar[int]
    LEASES_FIELD_NUMBER: _ClassVar[int]
    ANSWER_NO_FIELD_NUMBER: _ClassVar[int]
    agent_id: str
    session_no: int
    server_incarnation: str
    applied_seq: int
    safe_seq: int
    push_event_count_max: int
    push_bytes_max: int
    server_time: _timestamp_pb2.Timestamp
    leases: _containers.RepeatedCompositeFieldContainer[_lease_pb2.LeaseCounters]
    answer_no: int
    def __init__(self, agent_id: _Optional[str] = ..., session_no: _Optional[int] = ..., server_incarnation: _Optional[str] = ..., applied_seq: _Optional[int] = ..., safe_seq: _Optional[int] = ..., push_event_count_max: _Optional[int] = ..., push_bytes_max: _Optional[int] = ..., server_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., leases: _Optional[_Iterable[_Union[_lease_pb2.LeaseCounters, _Mapping]]] = ..., answer_no: _Optional[int] = ...) -> None: ...

class UsageBlock(_message.Message):
    __slots__ = ("first_seq", "event_count", "receive_time", "events")
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    EVENT_COUNT_FIELD_NUMBER: _ClassVar[int]
    RECEIVE_TIME_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    first_seq: int
    event_count: int
    receive_time: _timestamp_pb2.Timestamp
    events: bytes
    def __init__(self, first_seq: _Optional[int] = ..., event_count: _Optional[int] = ..., receive_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., events: _Optional[bytes] = ...) -> None: ...

class UsageEvents(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[_usage_pb2.UsageEvent]
    def __init__(self, events: _Optional[_Iterable[_Union[_usage_pb2.UsageEvent, _Mapping]]] = ...) -> None: ...

class PushUsageRequest(_message.Message):
    __slots__ = ("server_incarnation", "session_no", "first_seq", "blocks", "oldest_unshipped_event_time", "disk_id", "next_seq")
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_NO_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    OLDEST_UNSHIPPED_EVENT_TIME_FIELD_NUMBER: _ClassVar[int]
    DISK_ID_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQ_FIELD_NUMBER: _ClassVar[int]
    server_incarnation: str
    session_no: int
    first_seq: int
    blocks: _containers.RepeatedCompositeFieldContainer[UsageBlock]
    oldest_unshipped_event_time: _timestamp_pb2.Timestamp
    disk_id: bytes
    next_seq: int
    def __init__(self, server_incarnation: _Optional[str] = ..., session_no: _Optional[int] = ..., first_seq: _Optional[int] = ..., blocks: _Optional[_Iterable[_Union[UsageBlock, _Mapping]]] = ..., oldest_unshipped_event_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., disk_id: _Optional[bytes] = ..., next_seq: _Optional[int] = ...) -> None: ...

class PushUsageResponse(_message.Message):
    __slots__ = ("result", "applied_seq", "safe_seq", "server_incarnation", "counted", "duplicates", "conflicts", "quarantined", "retry_after")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    APPLIED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SAFE_SEQ_FIELD_NUMBER: _ClassVar[int]
    SERVER_INCARNATION_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    DUPLICATES_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_FIELD_NUMBER: _ClassVar[int]
    result: PushResult
    applied_seq: int
    safe_seq: int
    server_incarnation: str
    counted: int
    duplicates: int
    conflicts: int
    quarantined: int
    retry_after: _duration_pb2.Duration
    def __init__(self, result: _Optional[_Union[PushResult, str]] = ..., applied_seq: _Optional[int] = ..., safe_seq: _Optional[int] = ..., server_incarnation: _Optional[str] = ..., counted: _Optional[int] = ..., duplicates: _Optional[int] = ..., conflicts: _Optional[int] = ..., quarantined: _Optional[int] = ..., retry_after: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
