"""What must be true of a simulated world at its end, whatever happened in it."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime

from managedvm.planning.names import change_request_name
from managedvm.planning.observed import VirtualMachine
from managedvm.planning.targets import targets
from managedvm.planning.uptime import Spans
from tests.factories import VCENTER_UUID, VM_UUID
from tests.simulation.cluster import Snapshot


def no_order_is_lost(state: Snapshot, facts: VirtualMachine, by_hand: Collection[str]) -> None:
    """The last order is done, refused, or withdrawn; what differs without one was changed by somebody's hand."""
    vm = state.vm
    for target in targets(vm.spec.resources, facts):
        if target.is_met or vm.spec.change is None:
            continue
        name = change_request_name(VCENTER_UUID, VM_UUID, vm.spec.change.id, target.aspect)
        assert name in state.requests or target.aspect in by_hand, f"{target.change} is forgotten"


def outages_are_the_truth(
    state: Snapshot, off: Iterable[tuple[datetime, datetime | None]], now: datetime
) -> None:
    """The records tell just when the VM was off, to the second, since it is measured."""
    measured = state.vm.status.availability
    if measured is None:
        return
    since = Spans.between(measured.measured_since, now)
    true = Spans.of(span for begin, end in off for span in Spans.between(begin, end or now).intervals)
    told = Spans.of(
        span
        for one in state.outages.values()
        for span in Spans.between(one.spec.begin, one.status.end or now).intervals
    )
    assert told == true & since


def without_turns(state: Snapshot) -> Snapshot:
    """Return the state without what the turn of a month changes: its sums, and with them the versions."""
    shown = state.vm.status.availability
    status = state.vm.status.model_copy(
        update={"availability": shown.model_copy(update={"month": None, "year": None}) if shown else None}
    )
    meta = state.vm.metadata.model_copy(update={"resource_version": ""})
    return replace(state, vm=state.vm.model_copy(update={"status": status, "metadata": meta}))
