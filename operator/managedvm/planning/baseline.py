"""The size that counts as agreed without a record is noted at the VM itself (clause 6.3)."""

from collections.abc import Mapping
from dataclasses import replace

from managedvm.planning.actions import Action, PowerOn, Reconfigure, ShutDownGuest
from managedvm.planning.case import Case
from managedvm.planning.clauses import Clause
from managedvm.planning.observed import RECONFIGURE, PowerState
from managedvm.planning.plan import Part, joined
from managedvm.planning.powercycle import asked_until
from managedvm.planning.retry import rests_until
from managedvm.planning.targets import Baseline, baseline_note, noted_baseline


def with_baseline(part: Part, case: Case, baseline: Baseline) -> Part:
    """Return the plan with the baseline noted at the VM, in the same task as a change where there is one.

    Without a package nothing but vSphere HA is done, so there the status alone remembers it.
    """
    is_due = case.may_act and case.entitlement.package is not None and noted_baseline(case.facts) is None
    is_busy = case.running is not None or any(isinstance(a, PowerOn | ShutDownGuest) for a in part.actions)
    if not is_due or is_busy or case.facts.power is PowerState.SUSPENDED or asked_until(case) is not None:
        return part
    note = baseline_note(baseline, case.facts.instance_uuid)
    if any(isinstance(action, Reconfigure) for action in part.actions):
        groups = tuple(tuple(_noting(action, note) for action in group) for group in part.groups)
        return Part(part.findings, next_check=part.next_check, beside=groups)
    again = rests_until(case.facts.refusal_of(RECONFIGURE), case.now)
    if again is not None:
        return joined((part, Part(next_check=again)))
    noting = Reconfigure(case.facts.moref, case.facts.change_version, Clause.AS_ORDERED, notes=note)
    return joined((part, Part(actions=(noting,))))


def _noting(action: Action, note: Mapping[str, str]) -> Action:
    return replace(action, notes={**note, **action.notes}) if isinstance(action, Reconfigure) else action
