"""OTP supervision for Pykka actors: processes, monitors, links, timers, names, supervisors."""

from supervision.child_spec import ChildSpec
from supervision.errors import (
    CallingSelf,
    ChildSpecError,
    Exited,
    Ignore,
    StartError,
    Stop,
    SupervisionError,
    is_abnormal,
)
from supervision.inbox import Inbox
from supervision.monitors import Down, Monitor, demonitor, monitor
from supervision.process import Process
from supervision.ref import ProcessRef, current, exit_reason, kill, stop
from supervision.registry import Registry, names
from supervision.timer import Timer, TimerHandle, timer

__all__ = [
    "CallingSelf",
    "ChildSpec",
    "ChildSpecError",
    "Down",
    "Exited",
    "Ignore",
    "Inbox",
    "Monitor",
    "Process",
    "ProcessRef",
    "Registry",
    "StartError",
    "Stop",
    "SupervisionError",
    "Timer",
    "TimerHandle",
    "current",
    "demonitor",
    "exit_reason",
    "is_abnormal",
    "kill",
    "monitor",
    "names",
    "stop",
    "timer",
]
