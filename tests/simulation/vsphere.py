"""The vCenter of the simulation: one VM, tasks that take time and may fail, a guest that may or may not shut down."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from managedvm.planning.actions import OverrideHighAvailability, PowerOn, Reconfigure
from managedvm.planning.observed import (
    POWER_ON,
    RECONFIGURE,
    SHUT_DOWN,
    Heartbeat,
    PowerEvent,
    PowerState,
    TaskFacts,
    TaskState,
    VirtualMachine,
)
from tests import laws
from tests.factories import task

OVERRIDE = "ReconfigureComputeResource_Task"
DENIABLE = (RECONFIGURE, POWER_ON, SHUT_DOWN, OVERRIDE)


class RefusedError(Exception):
    """vCenter is at something else, or the VM is not as it was seen; nothing happens."""


class DeniedError(Exception):
    """vCenter refuses the call at once, and will again; nothing happens."""


@dataclass(frozen=True)
class Picture:
    """The VM and all tasks as they were at one instant: what the stream shows, perhaps a moment late."""

    at: datetime
    facts: VirtualMachine
    tasks: dict[str, TaskFacts]


@dataclass
class Effect:
    """A change of one aspect that has happened, and the request whose note came with it."""

    request: str
    key: str
    at: datetime


@dataclass
class VSphere:
    """The truth about the VM.

    `off_by` is who has switched it off: us, the customer, or either of them; `off` is when it was off or suspended.
    """

    facts: VirtualMachine
    now: datetime
    dice: Random
    is_calm: bool = False
    effects: list[Effect] = field(default_factory=list)
    off_by: str | None = None
    off: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    _events: int = 0
    when_down: Callable[[], object] = lambda: None
    """Told when the VM has gone off because of us."""
    denies: frozenset[str] = frozenset()
    """Methods that our account may not call just now."""
    never_cold: bool = False
    """Whether vCenter refuses each change of a VM that is off, for ever."""
    always_starts: bool = False
    most_memory_mib: int | None = None
    """With more memory the VM does not start, for ever."""
    _tasks: dict[str, TaskFacts] = field(default_factory=dict)
    _running: dict[str, tuple[datetime, Reconfigure | PowerOn]] = field(default_factory=dict)
    _shuts_down_at: datetime | None = None
    _pictures: list[Picture] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._remember()

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing goes on that would change anything later."""
        return not self._running and self._shuts_down_at is None

    def start(self, action: Reconfigure | PowerOn) -> str:
        """Start a task and return its reference."""
        method = POWER_ON if isinstance(action, PowerOn) else RECONFIGURE
        self._may(method)
        if self._running:
            raise RefusedError("TaskInProgress")
        if isinstance(action, PowerOn):
            assert self.off_by != "customer", "started a VM that the customer has switched off"
        moref = f"task-{len(self._tasks) + 1}"
        self._tasks[moref] = task(
            TaskState.RUNNING,
            end=None,
            moref=moref,
            method=method,
            queued_at=self.now,
            seen_at=self.now,
            begin=self.now,
        )
        takes = self.dice.choice((1, 2, 20)) if self.is_calm else self.dice.choice((0, 1, 3, 20, 400))
        self._running[moref] = (self.now + timedelta(seconds=takes), action)
        self._remember()
        return moref

    def override(self, action: OverrideHighAvailability) -> None:
        """Set the HA override at once."""
        self._may(OVERRIDE)
        if action.exists != (self.facts.ha_override is not None):
            raise RefusedError("InvalidArgument")
        self.change(ha_override=action.settings)

    def shut_down_guest(self) -> None:
        """Ask the guest: it goes off after a while, or never."""
        self._may(SHUT_DOWN)
        if self.facts.power is not PowerState.ON or not self.facts.tools_running:
            raise RefusedError("InvalidPowerState")
        after = 60 if self.is_calm else self.dice.choice((5, 60, 240, 400, None))
        if after is not None and self._shuts_down_at is None:
            self._shuts_down_at = self.now + timedelta(seconds=after)

    def deny(self) -> None:
        """Take privileges away from our account, and let somebody change what it can then not repair."""
        self.denies = frozenset(method for method in DENIABLE if self.dice.random() < 0.4)
        if OVERRIDE in self.denies:
            self.change(ha_override=None)

    def _may(self, method: str) -> None:
        if method in self.denies:
            raise DeniedError(method)

    def change(self, **facts: Any) -> None:
        """Change the VM by anybody's hand; a change of its configuration is a new version."""
        is_configuration = bool(facts.keys() & {"cpus", "memory_mib", "disks", "notes"})
        version = (
            f"v{int(self.facts.change_version[1:]) + 1}" if is_configuration else self.facts.change_version
        )
        power = facts.get("power", self.facts.power)
        if power is not self.facts.power:
            facts |= {"power_since": self.now, "power_events": self._noted(power)}
        self.facts = replace(self.facts, **{"change_version": version, **facts})
        self._remember()

    def _noted(self, power: PowerState) -> tuple[PowerEvent, ...]:
        """Return vCenter's history with one more change of power, as the stream keeps it."""
        if self.off and self.off[-1][1] is None:
            self.off[-1] = (self.off[-1][0], self.now)
        if power is not PowerState.ON:
            self.off.append((self.now, None))
        self._events += 1
        return (*self.facts.power_events, PowerEvent(self._events, self.now, power))[-16:]

    def switch(self, power: PowerState, by: str) -> None:
        """Switch the VM on or off by somebody's hand; one that does not start stays off."""
        if power is PowerState.ON and not self._starts():
            return
        self._shuts_down_at = None
        self.off_by = None if power is PowerState.ON else by
        heartbeat = Heartbeat.GREEN if power is PowerState.ON else Heartbeat.GRAY
        self.change(power=power, heartbeat=heartbeat, heartbeat_since=self.now)

    def advance_to(self, instant: datetime) -> None:
        """Let time pass: what is due happens in order."""
        while True:
            due = [(at, moref) for moref, (at, _) in self._running.items()]
            if self._shuts_down_at is not None:
                due.append((self._shuts_down_at, ""))
            if not due or min(due)[0] > instant:
                break
            self.now, moref = max(min(due)[0], self.now), min(due)[1]
            if moref:
                self._finish(moref)
            else:
                self.switch(PowerState.OFF, "operator")
                self.when_down()
        self.now = instant

    def _finish(self, moref: str) -> None:
        _, action = self._running.pop(moref)
        fault = self._fault(action)
        state = TaskState.ERROR if fault else TaskState.SUCCESS
        self._tasks[moref] = replace(
            self._tasks[moref], state=state, end=self.now, seen_at=self.now, fault=fault
        )
        if fault:
            self._remember()
        elif isinstance(action, PowerOn):
            self.switch(PowerState.ON, "operator")
        else:
            self._reconfigure(action)

    def _fault(self, action: Reconfigure | PowerOn) -> str:
        is_sure = self.always_starts and isinstance(action, PowerOn)
        if not self.is_calm and self.dice.random() < 0.1 and not is_sure:
            return "GenericVmConfigFault"
        if isinstance(action, PowerOn):
            return self._fault_of_start()
        if self.never_cold and self.facts.power is PowerState.OFF and (action.cpus or action.memory_mib):
            return "InvalidDeviceOperation"
        if action.change_version != self.facts.change_version:
            return "ConcurrentAccess"
        if self.facts.power is PowerState.ON:
            try:
                laws.assert_hot(action, self.facts)
            except AssertionError:
                return "InvalidPowerState"
        return ""

    def _fault_of_start(self) -> str:
        if not self._starts():
            return "InsufficientMemoryResourcesFault"
        return "" if self.facts.power is PowerState.OFF else "InvalidPowerState"

    def _starts(self) -> bool:
        return self.most_memory_mib is None or self.facts.memory_mib <= self.most_memory_mib

    def _reconfigure(self, action: Reconfigure) -> None:
        for key, name in action.notes.items():
            if key.startswith("managedvm.change.") and name:
                self.effects.append(Effect(name, key, self.now))
            elif key.startswith("managedvm.change."):
                self.effects = [effect for effect in self.effects if effect.request != self.facts.notes[key]]
        disks = {
            node: replace(disk, capacity_bytes=action.disks.get(disk.device_key, disk.capacity_bytes))
            for node, disk in self.facts.disks.items()
        }
        self.change(
            cpus=action.cpus or self.facts.cpus,
            memory_mib=action.memory_mib or self.facts.memory_mib,
            disks=disks,
            notes={key: value for key, value in {**self.facts.notes, **action.notes}.items() if value},
        )

    def picture(self, *, is_late: bool = False) -> Picture:
        """Return what the stream shows now, or what it showed a moment ago."""
        if is_late and len(self._pictures) > 1 and self.now - self._pictures[-1].at < timedelta(seconds=3):
            return self._pictures[-2]
        return self._pictures[-1]

    def latest_reconfiguration(self) -> TaskFacts | None:
        """Read the latest reconfiguration by anybody from the server itself."""
        found = [t for t in self._tasks.values() if t.method == RECONFIGURE]
        return found[-1] if found else None

    def _remember(self) -> None:
        self._pictures = [*self._pictures[-3:], Picture(self.now, self.facts, dict(self._tasks))]
