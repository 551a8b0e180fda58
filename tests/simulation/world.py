"""A world of one VM, moved by dice: people order and change their minds, processes die, time passes. One seed, one story.

Each step lets time pass, lets something happen, and lets the active replica make a pass or a part of one. In the end
the world calms down; what must be true then is in `assert_all_is_well`.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from managedvm.api.changerequest import FINAL_STATES, RequestState
from managedvm.planning.actions import PowerOn, ShutDownGuest
from managedvm.planning.availability import promised
from managedvm.planning.observed import HaSettings, PowerState
from managedvm.planning.reasons import Reason
from managedvm.planning.targets import targets
from tests import laws
from tests.factories import (
    NOW,
    REQUESTER,
    customer,
    managed_vm,
    order,
    price_book,
    requester,
    service_level,
    service_levels,
    slip,
    vcenter_spec,
    virtual_machine,
)
from tests.simulation import truth
from tests.simulation.cluster import Cluster, Snapshot
from tests.simulation.replica import Fault, Replica
from tests.simulation.sizes import ASPECTS, SIZES, resources
from tests.simulation.vsphere import VSphere

STRANGER = "somebody@else.example"
LONG = timedelta(days=1)
MANY_LOOKS = 5  # after which a VM of ours is being started, or a finding says why it is not


class World:
    """The story of one seed. `asked` are the aspects that each order slip stands for, as the customer would say."""

    knows_what_is_settled = True

    def __init__(self, seed: int) -> None:
        self.dice = dice = Random(seed)  # noqa: S311 - a die, not a secret
        level = dice.choices(("standard", "basic", "professional"), (6, 3, 1))[0]
        facts = virtual_machine(
            level=level,
            has_baseline=dice.random() < 0.5,
            cpu_hot_add=dice.random() < 0.5,
            memory_hot_add=dice.random() < 0.5,
            change_version="v1",
        )
        self.vsphere = VSphere(facts, NOW, dice, never_cold=dice.random() < 0.1)
        if not facts.memory_hot_add and dice.random() < 0.5:
            self.vsphere.most_memory_mib = 6144
        package = None if level != "professional" and dice.random() < 0.1 else "Basic"
        vm = managed_vm(level=level, package=package, resources=resources({}), restartPolicy="InWindow")
        state = Snapshot(
            vm, {}, {}, customer(), (requester(),), price_book(), dict(service_levels()), vcenter_spec()
        )
        self.api = Cluster(state)
        self.level = level
        self.wanted: dict[str, Any] = {"cpus": 2, "memory": "4Gi", "disk": 40}
        self.asked: dict[str, set[str]] = {}
        self.by_hand: set[str] = set()
        self.is_calm = False
        self.slips = 0
        self.clear_pass_at: datetime | None = None
        self.looks_while_off = 0
        self.replicas = [Replica(self.api, self.vsphere, dice, self._fault, state) for _ in range(2)]

    @property
    def active(self) -> Replica:
        """The replica that holds the lease."""
        return self.replicas[0]

    def run(self, steps: int) -> None:
        """Let the story happen, calm down, and see that all is well."""
        for _ in range(steps):
            self._let_time_pass()
            if self.dice.random() < 0.5:
                self._something_happens()
            if self.dice.random() < 0.9:
                self.active.seen = self.api.state
            self._go_on(self.dice.choice((0, 1, 2, 9, 9, 9)))
        self._live_through_a_window()
        self._calm_down()
        self._settle()
        self.assert_all_is_well()

    def _live_through_a_window(self) -> None:
        """Let the operator do what was ordered, with something happening to it when it hurts most."""
        self._restore()
        if self.vsphere.off_by == "customer" or self.vsphere.facts.power is PowerState.SUSPENDED:
            self.vsphere.switch(PowerState.ON, "customer")
        self._order()
        self.vsphere.when_down = self._trouble_while_down
        for _ in range(30):
            self.active.seen = self.api.state
            self._go_on(9)
            last, now = self.active.last, self.vsphere.now
            due = last.next_check if last is not None and self.vsphere.is_at_rest else None
            self.vsphere.advance_to(min(due or now + timedelta(seconds=30), now + LONG))

    def _trouble_while_down(self) -> None:
        if self.is_calm or self.dice.random() < 0.4:
            return
        self.dice.choice((self.vsphere.deny, self._take_permission_away, self._take_over))()

    def _go_on(self, actions: int) -> None:
        """Let the active replica carry out so many actions; what it leaves undone, it goes on with in the next step."""
        if self.active.go_on(actions):
            self._assert_it_is_brought_back()
            self._note_clear_pass()

    def _assert_it_is_brought_back(self) -> None:
        """A VM that we have shut down is started within a few passes, or it is said that it is off and why."""
        last, is_off = self.active.last, self.vsphere.off_by == "operator" and self.vsphere.is_at_rest
        words = {finding.reason for finding in last.findings} if last is not None else set()
        is_tried = last is not None and any(isinstance(action, PowerOn) for action in last.actions)
        if not is_off or is_tried or words & {Reason.LEFT_POWERED_OFF, Reason.VCENTER_UNREACHABLE}:
            self.looks_while_off = 0
        elif not self.active.is_away:
            self.looks_while_off += 1
            assert self.looks_while_off < MANY_LOOKS, "off without a word"

    def _note_clear_pass(self) -> None:
        """Remember when the operator last saw the VM running, knew everything, and found nothing to do."""
        last, vm = self.active.last, self.api.state.vm
        seen = (self.vsphere.facts.power, self.vsphere.picture(is_late=True).facts.power)
        is_on = seen == (PowerState.ON, PowerState.ON)
        is_fresh = is_on and self.active.seen is self.api.state and not self.active.is_away
        if (
            last is not None
            and not last.actions
            and all(finding.reason is not Reason.VCENTER_UNREACHABLE for finding in last.findings)
            and is_fresh
            and vm.spec.mode == "Enforce"
            and not vm.spec.suspend
        ):
            self.clear_pass_at = self.vsphere.now

    def _fault(self) -> Fault:
        if self.is_calm:
            return Fault.NONE
        return self.dice.choices(tuple(Fault), (40, 1, 1, 1, 1))[0]

    def _let_time_pass(self) -> None:
        now, last = self.vsphere.now, self.active.last
        steps = (timedelta(seconds=self.dice.randint(0, 5)), timedelta(minutes=self.dice.randint(1, 15)))
        long = timedelta(hours=self.dice.randint(1, 12))
        step = self.dice.choices((*steps, long, None), (8, 4, 1, 3))[0]
        if step is None:
            due = last.next_check if last is not None else None
            step = max(due - now, timedelta()) if due is not None else steps[0]
            step -= timedelta(seconds=1) if self.dice.random() < 0.2 and step else timedelta()
        self.vsphere.advance_to(now + min(step, LONG))

    def _something_happens(self) -> None:
        events = (
            (self._order, 10),
            (self._resize_by_hand, 2),
            (self._switch_by_hand, 3),
            (self._take_over, 3),
            (self._lose_sight, 2),
            (self._change_our_mind, 6),
            (self._deny, 2),
            (self._take_permission_away, 2),
        )
        self.dice.choices([event for event, _ in events], [weight for _, weight in events])[0]()

    def _order(self) -> None:
        """The customer orders other sizes, goes back to earlier ones, or names one no more."""
        names = self.dice.sample(list(SIZES), self.dice.choice((1, 1, 2)))
        before, latest = dict(self.wanted), self.api.state.vm.spec.change
        seen = self.api.state.vm.status.configuration
        for name in names:
            self.wanted[name] = self.dice.choice(
                (*SIZES[name], None) if self.dice.random() < 0.2 else SIZES[name]
            )
        changed = {ASPECTS[name] for name in SIZES if self.wanted[name] != before[name]}
        self.slips += 1
        who = STRANGER if self.dice.random() < 0.15 else REQUESTER
        fields: dict[str, Any] = {"resources": resources(self.wanted)}
        if self.dice.random() < 0.93:
            fields["change"] = slip(f"c-{self.slips}", who)
        self.api.edit_spec(**fields)
        change = self.api.state.vm.spec.change
        if change is not None:
            # An order slip stands for what it changes, and for what differs from the YAML when it is given.
            asked = self.asked.setdefault(change.id, set())
            asked |= changed | (self._unmet() if "change" in fields else set())
            if latest is not None and (seen is None or seen.settled_change != latest.id):
                asked |= self.asked[latest.id]  # nobody had looked at that one yet
        if "change" not in fields:
            self.by_hand |= changed  # without an order slip nothing is ordered

    def _unmet(self) -> set[str]:
        agreed = self.api.state.vm.spec.resources
        return {t.aspect for t in targets(agreed, self.vsphere.facts) if not t.is_met}

    def _resize_by_hand(self) -> None:
        name = self.dice.choice(("cpus", "memory_mib"))
        most = self.vsphere.most_memory_mib or 8192
        sizes = (2, 4, 8) if name == "cpus" else tuple(mib for mib in (4096, 6144, 8192) if mib <= most)
        self.vsphere.change(**{name: self.dice.choice(sizes)})
        aspect = "CPUs" if name == "cpus" else "Memory"
        self.by_hand.add(aspect)
        change, seen = self.api.state.vm.spec.change, self.api.state.vm.status.configuration
        if change is not None and (seen is None or seen.settled_change != change.id):
            self.asked[change.id].add(
                aspect
            )  # not seen yet, so the order that is given stands for this as well

    def _switch_by_hand(self) -> None:
        power = self.dice.choice((PowerState.OFF, PowerState.ON, PowerState.ON, PowerState.SUSPENDED))
        # While the guest may still be shutting down for us, or so it seems to one of us, nobody can tell whose hand it was.
        views = [replica.seen for replica in self.replicas if replica.seen is not self.api.state]
        is_ours = any(laws.is_ours(r.status) for view in views for r in view.requests.values()) or any(
            laws.is_ours(r.status) and not self._is_over(r.status.slot.end)
            for r in self.api.state.requests.values()
            if r.status.slot is not None
        )
        last = self.active.last
        is_being_asked = (
            self.active.is_in_a_pass and last is not None and ShutDownGuest in map(type, last.actions)
        )
        self.vsphere.switch(power, "either" if is_ours or is_being_asked else "customer")

    def _is_over(self, end: datetime) -> bool:
        return end <= self.vsphere.now and self.clear_pass_at is not None and end <= self.clear_pass_at

    def _take_over(self) -> None:
        """The lease goes to the other replica, which may see the API server late and knows nothing of our tasks."""
        self.active.lose_lease()
        self.replicas.reverse()
        self.active.lose_lease()
        if self.dice.random() < 0.5:
            self.active.seen = self.api.state

    def _lose_sight(self) -> None:
        for replica in self.replicas:
            replica.is_away = not replica.is_away

    def _deny(self) -> None:
        """The provider takes privileges away from our account, or gives them back."""
        if self.vsphere.denies:
            self.vsphere.denies = frozenset()
        else:
            self.vsphere.deny()

    def _take_permission_away(self) -> None:
        """The provider ends the Customer or the grant of its folder, or restores it."""
        state = self.api.state
        if self.dice.random() < 0.5:
            self.api.edit(customer=None if state.customer else customer())
        else:
            self.api.edit(vcenter=vcenter_spec(grants=[]) if state.vcenter.grants else vcenter_spec())

    def _change_our_mind(self) -> None:
        """Something around the VM changes: permission, order, price, window, list of requesters, HA, Tools."""
        dice, state = self.dice, self.api.state
        match dice.randrange(10):
            case 0:
                self.api.edit_spec(mode=dice.choice(("Observe", "Enforce", "Enforce")))
            case 1:
                self.api.edit_spec(suspend=not state.vm.spec.suspend)
            case 2:
                self.api.edit_spec(restartPolicy=dice.choice(("Never", "InWindow", "InWindow")))
            case 3:
                self._freeze()
            case 4:
                self._end_order()
            case 5:
                self.api.edit(prices=None if state.prices and dice.random() < 0.6 else price_book())
            case 6:
                self.api.edit(requesters=(requester(), requester(STRANGER))[: dice.choice((1, 2))])
            case 7:
                self.vsphere.change(ha_override=dice.choice((None, HaSettings(restart_priority="lowest"))))
            case 8:
                self.vsphere.change(tools_running=not self.vsphere.facts.tools_running)
            case _:
                self.api.edit(levels=dice.choice(({}, dict(service_levels()))))

    def _freeze(self) -> None:
        begin = self.vsphere.now
        end = begin + timedelta(hours=self.dice.randint(1, 40))
        freeze = {"from": begin.isoformat(), "until": end.isoformat(), "reason": "sale"}
        self.api.edit_spec(maintenance={"freezes": [freeze] if self.dice.random() < 0.7 else []})

    def _end_order(self) -> None:
        """The order in force gets an end; one that has an end is renewed."""
        *others, last = (order.to_json() for order in self.api.state.vm.spec.orders)
        end = self.vsphere.now + timedelta(minutes=self.dice.choice((0, 30, 600)))
        if "until" in last or end <= datetime.fromisoformat(last["from"]):
            self._renew_order()
        else:
            self.api.edit_spec(orders=[*others, {**last, "until": end.isoformat()}])

    def _renew_order(self) -> None:
        orders = self.api.state.vm.spec.orders
        last, now = orders[-1], self.vsphere.now
        if last.until is None or len(orders) > 10:
            return
        start = max(last.until, now).isoformat()
        renewed = order(f"A-{len(orders) + 1}", self.level, last.service_package or "Basic", from_=start)
        self.api.edit_spec(orders=[*(o.to_json() for o in orders), renewed])

    def _calm_down(self) -> None:
        """Nothing goes wrong any more, nobody changes anything, and all that was missing is there."""
        self.is_calm = self.vsphere.is_calm = True
        self._restore()
        is_off_for_good = self.vsphere.never_cold and self.vsphere.off_by == "customer"
        if self.vsphere.facts.power is PowerState.SUSPENDED or is_off_for_good:
            self.vsphere.switch(PowerState.ON, "customer")

    def _restore(self) -> None:
        """Give back all that the operator needs."""
        self._renew_order()
        self.api.edit_spec(mode="Enforce", suspend=False, restartPolicy="InWindow", maintenance={})
        proceed = customer(requests={"unlistedRequester": "Proceed"})
        levels = dict(service_levels())
        self.api.edit(prices=price_book(), levels=levels, customer=proceed, vcenter=vcenter_spec())
        self.vsphere.change(tools_running=True)
        self.vsphere.denies = frozenset()
        for replica in self.replicas:
            replica.is_away = False

    def _settle(self) -> None:
        """Let the operator sleep until it is woken by a change or by its own clock, until there is nothing left to do."""
        for _ in range(200):
            self.active.seen = self.api.state
            before = (self.api.state, self.vsphere.facts)
            self._go_on(99)
            last, now = self.active.last, self.vsphere.now
            assert last is not None
            if not self.vsphere.is_at_rest:
                self.vsphere.advance_to(now + timedelta(seconds=30))
            elif last.actions or before != (self.api.state, self.vsphere.facts):
                continue
            elif last.next_check is not None:
                self.vsphere.advance_to(last.next_check)
            else:
                return
        raise AssertionError(f"no end of it: {last}")

    def assert_all_is_well(self) -> None:
        """Assert what the contract promises of a story that has come to its end."""
        effects = [effect.request for effect in self.vsphere.effects]
        billed = [entry.spec.change_request_ref.name for entry in self.api.work.values()]
        for name, request in self.api.state.requests.items():
            state, change = request.status.state, request.spec.change
            assert state in FINAL_STATES, f"{name} is {state} for ever"
            is_done = state is RequestState.DONE
            assert effects.count(name) == is_done, (
                f"{name} is {state} and took effect {effects.count(name)} times"
            )
            assert billed.count(name) == is_done, (
                f"{name} is {state} and was billed {billed.count(name)} times"
            )
            assert change is not None
            if is_done and self.knows_what_is_settled:
                # A replica that sees the YAML late records it under an earlier slip; a later one never does.
                since = list(self.asked)[list(self.asked).index(change.id) :]
                assert any(change.aspect in self.asked[slip] for slip in since), f"{name} was never ordered"
        assert set(effects) <= self.api.state.requests.keys()
        assert self.vsphere.facts.power is PowerState.ON or self.vsphere.off_by != "operator", (
            "left switched off"
        )
        assert self.vsphere.facts.ha_override == promised(service_level(self.level).high_availability)
        truth.no_order_is_lost(self.api.state, self.vsphere.facts, self.by_hand)
        truth.outages_are_the_truth(self.api.state, self.vsphere.off, self.vsphere.now)
        self._assert_it_stays_so()

    def _assert_it_stays_so(self) -> None:
        state, facts = self.api.state, self.vsphere.facts
        for later in (timedelta(), timedelta(hours=1), timedelta(days=8)):
            self.vsphere.advance_to(self.vsphere.now + later)
            self._go_on(99)
            assert self.active.last is not None
            assert not self.active.last.actions, "it stirs again although nothing has changed"
        assert truth.without_turns(self.api.state) == truth.without_turns(state)
        assert self.vsphere.facts == facts
