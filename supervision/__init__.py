"""OTP supervision for Pykka actors: processes, monitors, links, timers, names, supervisors."""

from supervision.agent import Agent
from supervision.bounded_inbox import Bounded
from supervision.calls import Caller, abcast, call, caller, cast, multi_call, reply
from supervision.child_spec import ChildSpec
from supervision.dynamic_supervisor import DynamicSupervisor, DynamicSupervisorFlags
from supervision.errors import (
    CallingSelf,
    ChildSpecError,
    Continue,
    Exited,
    Ignore,
    InboxFull,
    OptionError,
    StartError,
    Stop,
    SupervisionError,
    is_abnormal,
)
from supervision.foreign import text_of
from supervision.inbox import Inbox
from supervision.links import exit, link, trap_exit, unlink  # noqa: A004
from supervision.monitors import Down, Monitor, demonitor, monitor
from supervision.named_ref import NamedRef
from supervision.partition_supervisor import PartitionSupervisor
from supervision.plain_actors import as_process
from supervision.process import Process
from supervision.ref import ExitSignal, ProcessRef, current, exit_reason, kill, stop, tell_if_alive
from supervision.registry import Registered, Registry, Unregistered, names
from supervision.restarts import Backoff, RestartIntensity
from supervision.supervisor import Supervisor
from supervision.supervisor_flags import SupervisorFlags
from supervision.task import Task, callers
from supervision.task_supervisor import TaskSupervisor
from supervision.timer import Timer, TimerHandle, timer

__all__ = [
    "Agent",
    "Backoff",
    "Bounded",
    "Caller",
    "CallingSelf",
    "ChildSpec",
    "ChildSpecError",
    "Continue",
    "Down",
    "DynamicSupervisor",
    "DynamicSupervisorFlags",
    "ExitSignal",
    "Exited",
    "Ignore",
    "Inbox",
    "InboxFull",
    "Monitor",
    "NamedRef",
    "OptionError",
    "PartitionSupervisor",
    "Process",
    "ProcessRef",
    "Registered",
    "Registry",
    "RestartIntensity",
    "StartError",
    "Stop",
    "SupervisionError",
    "Supervisor",
    "SupervisorFlags",
    "Task",
    "TaskSupervisor",
    "Timer",
    "TimerHandle",
    "Unregistered",
    "abcast",
    "as_process",
    "call",
    "caller",
    "callers",
    "cast",
    "current",
    "demonitor",
    "exit",
    "exit_reason",
    "is_abnormal",
    "kill",
    "link",
    "monitor",
    "multi_call",
    "names",
    "reply",
    "stop",
    "tell_if_alive",
    "text_of",
    "timer",
    "trap_exit",
    "unlink",
]
