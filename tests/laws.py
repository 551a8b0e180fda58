"""What every plan for a ManagedVM keeps, whatever was observed: one function per law, used by properties and simulation.

The laws are written from the contract and from what the API server and vCenter accept, not from the code of `planning`.
"""

from datetime import datetime, timedelta

from managedvm.api.changerequest import ChangeRequest, ChangeRequestStatus, RequestState
from managedvm.api.managedvm import ManagedVM, ManagedVMStatus, RestartPolicy, VMOrigin
from managedvm.api.vcenter import Mode
from managedvm.planning.actions import (
    MEASURING,
    Action,
    AdvanceRequest,
    ClaimVM,
    ConfirmUnchanged,
    OverrideHighAvailability,
    PowerOn,
    Reconfigure,
    RecordRequest,
    RecordWork,
    ReleaseClaim,
    ShutDownGuest,
)
from managedvm.planning.clauses import Clause
from managedvm.planning.entitlement import order_in_force
from managedvm.planning.identity import Sight
from managedvm.planning.maintenance import maintenance_calendar
from managedvm.planning.managedvm import Observed, Plan
from managedvm.planning.names import claim_name
from managedvm.planning.observed import PowerState, Unknown, VirtualMachine
from managedvm.planning.targets import Unit, targets
from tests.billing_laws import People
from tests.power_laws import (
    a_vm_that_we_have_shut_down_is_never_passed_over,
    is_ours,
    meant,
    meant_off_by_us,
    only_what_we_have_shut_down_is_started,
    undone_by,
    undone_by_the_book,
)

POWER_CYCLE = timedelta(minutes=10)
LONGEST_MESSAGE = 1024
FINAL = (RequestState.DONE, RequestState.WITHDRAWN, RequestState.REFUSED)
RANK = {
    RequestState.ORDERED: 1,
    RequestState.HELD: 2,
    RequestState.RELEASED: 3,
    RequestState.SCHEDULED: 4,
    RequestState.IN_WORK: 5,
    RequestState.DONE: 6,
    RequestState.WITHDRAWN: 6,
    RequestState.REFUSED: 6,
}
"""The order of states in the admission policy `managedvm-record-status`."""


def check(vm: ManagedVM, observed: Observed, now: datetime, plan: Plan) -> None:
    """Assert every law."""
    everything_said_has_a_clause_and_fits_a_condition(plan)
    what_is_written_is_valid(plan, now)
    if any(isinstance(action, ReleaseClaim) for action in plan.actions):
        # Nothing is done to any VM, so no other law is touched.
        a_claim_is_let_go_for_another_vm_only(vm, observed, plan)
        return
    nothing_is_done_without_permission(vm, observed, plan)
    nothing_is_done_to_a_vm_of_somebody_else(vm, observed, plan)
    without_a_package_only_high_availability_is_kept(vm, observed, now, plan)
    the_intent_is_recorded_and_the_order_confirmed_before_the_act(vm, observed, plan)
    nothing_is_carried_out_that_was_taken_back_or_that_nobody_may_order(observed, plan)
    a_running_vm_takes_only_hot_changes(vm, observed, plan)
    only_what_is_agreed_is_set_and_disks_only_grow(vm, observed, plan)
    the_guest_is_asked_in_a_window_only(vm, observed, now, plan)
    only_what_we_have_shut_down_is_started(vm, observed, now, plan)
    a_vm_that_we_have_shut_down_is_never_passed_over(vm, observed, plan)
    requests_only_advance(plan)
    what_took_effect_is_billed_and_nothing_else(observed, plan)


def everything_said_has_a_clause_and_fits_a_condition(plan: Plan) -> None:
    for finding in plan.findings:
        assert finding.clause is not None, finding
        assert finding.message, finding
        assert len(finding.text) <= LONGEST_MESSAGE, finding
    assert all(isinstance(action.clause, Clause) for action in plan.actions)


def what_is_written_is_valid(plan: Plan, now: datetime) -> None:
    assert ManagedVMStatus.model_validate(plan.status.to_json()) == plan.status
    assert plan.next_check is None or plan.next_check > now, (
        "a pass in the past would be made again at once, for ever"
    )


def a_claim_is_let_go_for_another_vm_only(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    sight = observed.sight
    assert isinstance(sight, Sight), "a claim let go without a healthy inventory"
    wanted = sight.by_uuid if vm.spec.vm.instance_uuid is not None else sight.at_path
    assert wanted is not None
    assert vm.status.vm is None
    by_name = {held.metadata.name: held for held in observed.held}
    for action in plan.actions:
        assert isinstance(action, ReleaseClaim), "more than claims in one go"
        freed = by_name[action.name]
        assert freed.spec.instance_uuid != wanted.instance_uuid
        assert freed.spec.owner.uid not in (None, vm.metadata.uid)


def nothing_is_done_without_permission(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    customer = observed.customer
    may_record = (
        customer is not None
        and vm.metadata.namespace in customer.namespaces
        and observed.is_ledger
        and not observed.missing_policies
        and isinstance(observed.sight, Sight)
    )
    is_enforced = (
        not vm.spec.suspend
        and plan.status.mode is Mode.ENFORCE
        and observed.vcenter is not None
        and observed.vcenter.maximum_mode is Mode.ENFORCE
    )
    if may_record and is_enforced:
        return
    rest = tuple(action for action in plan.actions if not isinstance(action, PowerOn))
    assert may_record or not rest, rest
    # What has taken effect before may still be billed, and what we have shut down is started; nothing else is done.
    for action in rest:
        is_end = isinstance(action, AdvanceRequest) and action.after.state is RequestState.DONE
        assert is_end or isinstance(action, (RecordWork, *MEASURING)), action


def nothing_is_done_to_a_vm_of_somebody_else(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    facts, sight = meant(vm, observed), observed.sight
    if not plan.actions:
        return
    assert isinstance(sight, Sight), "an action without a healthy inventory"
    assert facts is not None
    assert facts.connected
    if all(isinstance(action, PowerOn) for action in plan.actions):
        return  # only what is ours by record is started; that is a law of its own
    assert not facts.is_template
    assert observed.vcenter is not None
    grants = [g.folder for g in observed.vcenter.grants if g.namespace == vm.metadata.namespace]
    assert any(facts.path.startswith(f"{folder}/") for folder in grants), "an action outside of the grants"
    claim = observed.claims.get(claim_name(sight.vcenter_uuid, facts.instance_uuid))
    owner = claim.spec.owner if claim else None
    if owner is None:
        assert all(isinstance(action, ClaimVM) for action in plan.actions), "an action before the claim"
    else:
        assert (owner.namespace, owner.name) == (vm.metadata.namespace, vm.metadata.name), (
            "somebody else's VM"
        )
    assert all(action.vm == facts.moref for action in plan.actions if hasattr(action, "vm"))


def without_a_package_only_high_availability_is_kept(
    vm: ManagedVM, observed: Observed, now: datetime, plan: Plan
) -> None:
    order = order_in_force(vm.spec.orders, now)
    is_known = order is not None and order.service_level in observed.levels
    if is_known and order is not None and order.service_package is not None:
        return
    for action in plan.actions:
        match action:
            case AdvanceRequest():
                # What was begun under a package comes to its end; nothing new is ever promised.
                is_note = action.after.interruption is not None and action.after.slot == action.before.slot
                assert is_note or action.after.state in FINAL or action.after.slot is None, action
            case ClaimVM() | OverrideHighAvailability() | RecordRequest():
                assert is_known, action
            case ConfirmUnchanged() | Reconfigure():
                assert undone_by(plan, vm, observed), "a change without a package"
            case _:
                assert isinstance(action, (RecordWork, PowerOn, *MEASURING)), f"{action} without a package"


def the_intent_is_recorded_and_the_order_confirmed_before_the_act(
    vm: ManagedVM, observed: Observed, plan: Plan
) -> None:
    for place, action in enumerate(plan.actions):
        before = plan.actions[:place]
        if isinstance(action, ShutDownGuest) or (isinstance(action, Reconfigure) and _sizes(action)):
            meta = vm.metadata
            confirmed = [a for a in before if isinstance(a, ConfirmUnchanged)]
            assert confirmed, "an act without a last look at the order"
            assert (confirmed[0].name, confirmed[0].uid, confirmed[0].generation) == (
                meta.name,
                meta.uid,
                meta.generation,
            )
        if isinstance(action, Reconfigure):
            assert action.change_version == _facts(vm, observed).change_version
            if _sizes(action) and action.clause is Clause.INITIAL_CONFIGURATION:
                assert vm.spec.vm.origin is VMOrigin.PROVISIONED
                assert vm.status.configuration is None
                assert not action.notes
            elif undone_by(plan, vm, observed):
                undone_by_the_book(action, vm, observed, before)
            elif _sizes(action):
                _assert_recorded(action, observed, before)


def _assert_recorded(action: Reconfigure, observed: Observed, before: tuple[Action, ...]) -> None:
    new = {a.body["metadata"]["name"] for a in before if isinstance(a, RecordRequest)}
    named = [name for key, name in action.notes.items() if key.startswith("managedvm.change.")]
    assert len(named) == _sizes(action), "each aspect carries the note of its request"
    for name in named:
        known = observed.requests.get(name)
        assert name in new or (known is not None and known.status.state not in FINAL), f"{name} is not open"


def nothing_is_carried_out_that_was_taken_back_or_that_nobody_may_order(
    observed: Observed, plan: Plan
) -> None:
    if meant_off_by_us(observed) and any(
        "" in a.notes.values() for a in plan.actions if isinstance(a, Reconfigure)
    ):
        return  # undone, not carried out
    for action in (a for a in plan.actions if isinstance(a, Reconfigure)):
        assert observed.customer is not None
        people = People(observed.requesters, observed.elsewhere_since, observed.customer.requests)
        noted = (name for key, name in action.notes.items() if key.startswith("managedvm.change."))
        for request in (observed.requests[name] for name in noted if name in observed.requests):
            said = [
                one.spec.decision
                for one in observed.decisions.get(request.metadata.name, ())
                if people.let_decide(one, request)
            ]
            assert "Withdraw" not in said
            assert people.let_order(request) or "Release" in said


def a_running_vm_takes_only_hot_changes(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    for action in (a for a in plan.actions if isinstance(a, Reconfigure)):
        facts = _facts(vm, observed)
        assert facts.power is not PowerState.SUSPENDED
        if facts.power is PowerState.ON:
            assert_hot(action, facts)


def assert_hot(action: Reconfigure, facts: VirtualMachine) -> None:
    """Assert that the VM takes these changes while it runs."""
    if action.cpus is not None:
        assert facts.cpu_hot_add
        assert action.cpus > facts.cpus
    if action.memory_mib is not None:
        more = action.memory_mib - facts.memory_mib
        assert facts.memory_hot_add
        assert more > 0
        assert not facts.hot_add_increment_mib or more % facts.hot_add_increment_mib == 0
        assert not facts.hot_add_limit_mib or action.memory_mib <= facts.hot_add_limit_mib
    nodes = {disk.device_key: node for node, disk in facts.disks.items()}
    assert not any(nodes[key].startswith("IDE") for key in action.disks)


def only_what_is_agreed_is_set_and_disks_only_grow(vm: ManagedVM, observed: Observed, plan: Plan) -> None:
    for action in (a for a in plan.actions if isinstance(a, Reconfigure)):
        if undone_by(plan, vm, observed):
            continue
        facts = _facts(vm, observed)
        wanted = {(t.unit, t.device_key): t.wanted for t in targets(vm.spec.resources, facts)}
        assert action.cpus in (None, wanted.get((Unit.CPUS, 0)))
        assert action.memory_mib in (None, wanted.get((Unit.MEMORY, 0)))
        capacities = {disk.device_key: disk.capacity_bytes for disk in facts.disks.values()}
        for key, size in action.disks.items():
            assert size == wanted[Unit.DISK, key]
            assert size > capacities[key], "a disk would shrink"


def the_guest_is_asked_in_a_window_only(vm: ManagedVM, observed: Observed, now: datetime, plan: Plan) -> None:
    for place, action in enumerate(plan.actions):
        if not isinstance(action, ShutDownGuest):
            continue
        facts, order = _facts(vm, observed), order_in_force(vm.spec.orders, now)
        assert vm.spec.restart_policy is RestartPolicy.IN_WINDOW
        assert facts.power is PowerState.ON
        assert facts.tools_running
        assert not _is_busy(facts, observed)
        assert order is not None
        windows = maintenance_calendar(observed.levels[order.service_level].maintenance, vm.spec.maintenance)
        assert windows is not None
        assert windows.fits(now, POWER_CYCLE), "a shutdown outside of a window"
        marked = [
            a
            for a in plan.actions[:place]
            if isinstance(a, AdvanceRequest) and a.after.state is RequestState.IN_WORK
        ]
        assert all(a.after.started_at == now for a in marked)
        known = [
            r
            for name, r in observed.requests.items()
            if is_ours(r.status) and name not in facts.notes.values()
        ]
        assert marked or known, "nobody would know who has shut the VM down"
        assert not any(isinstance(a, Reconfigure) for a in plan.actions)


def requests_only_advance(plan: Plan) -> None:
    for action in plan.actions:
        if isinstance(action, AdvanceRequest):
            assert refusal_of(action.before, action.after) is None, action
            assert action.after != action.before, "a write that says nothing"


def refusal_of(before: ChangeRequestStatus, after: ChangeRequestStatus) -> str | None:
    """Return why the admission policy on the status of records refuses a write, or None when it does not."""
    if after.state is not before.state and RANK[after.state] <= RANK[before.state]:
        return f"state goes from {before.state} back to {after.state}"
    for name in ("assessment", "authority", "release", "completed_at"):
        if getattr(before, name) is not None and getattr(after, name) != getattr(before, name):
            return f"{name} is written once"
    if before.started_at is not None and (after.started_at is None or after.started_at < before.started_at):
        return "started_at only moves forward"
    for clock, end in (("reaction", "reacted_at"), ("recovery", "recovered_at")):
        known, new = getattr(before, clock), getattr(after, clock)
        if known is not None and (new is None or new.due_at != known.due_at):
            return f"the deadline of a {clock} stands"
        if known is not None and getattr(known, end) is not None and new != known:
            return f"a {clock} stands once there was one"
    return None


def what_took_effect_is_billed_and_nothing_else(observed: Observed, plan: Plan) -> None:
    sight = observed.sight
    facts = (sight.by_uuid or sight.at_path) if isinstance(sight, Sight) else None
    noted = set(facts.notes.values()) if facts is not None else set()
    is_busy = facts is not None and _is_busy(facts, observed)
    worked = [a.body["spec"]["changeRequestRef"]["name"] for a in plan.actions if isinstance(a, RecordWork)]
    done = [
        a.name for a in plan.actions if isinstance(a, AdvanceRequest) and a.after.state is RequestState.DONE
    ]
    ended = [
        a.name
        for a in plan.actions
        if isinstance(a, AdvanceRequest) and a.after.state in (RequestState.WITHDRAWN, RequestState.REFUSED)
    ]
    assert worked == done, "work and its end go together"
    for name in worked:
        assert name in noted, "billed without an effect"
        assert _is_open(observed.requests.get(name)), "billed twice"
    for name in ended:
        assert name not in noted, "an effect that is never billed"
        known = observed.requests.get(name)
        assert known is None or not is_busy, "closed while its change may be on its way"
        is_back = known is not None and known.status.interruption is not None
        is_back = is_back and facts is not None and facts.power is not PowerState.OFF
        assert known is None or is_back or not is_ours(known.status), (
            "closed while the guest may be shutting down for it"
        )


def _is_open(request: ChangeRequest | None) -> bool:
    return request is not None and request.status.state not in FINAL


def _is_busy(facts: VirtualMachine, observed: Observed) -> bool:
    """Return whether vCenter is working on the VM, or nobody can tell whether it is."""
    if isinstance(observed.task, Unknown):
        return any(_is_open(request) for request in observed.requests.values())
    return any(task is not None and task.is_running for task in (facts.task, observed.task))


def _sizes(action: Reconfigure) -> int:
    return (action.cpus is not None) + (action.memory_mib is not None) + len(action.disks)


def _facts(vm: ManagedVM, observed: Observed) -> VirtualMachine:
    facts = meant(vm, observed)
    assert facts is not None
    return facts
