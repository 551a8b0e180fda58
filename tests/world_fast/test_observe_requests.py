"""Which requests a pass of a ManagedVM reads: a VM has ever more that came to their end, and they decide nothing."""

from managedvm.engine.store import Store
from managedvm.wiring import INDEXES
from managedvm.world.observe import Observer
from tests.factories import change_request, managed_vm
from tests.world_fast.fakes import nobody_is_met

ORDERED = {"change": {"id": "c-9", "requestedBy": "a.beispiel@kunde-a.example"}}


async def read(*requests, **spec):
    """Return the names of the requests that the pass of a ManagedVM with this spec reads."""
    store = Store(INDEXES)
    for number, request in enumerate(requests):
        body = request.model_dump(mode="json", by_alias=True, exclude_none=True)
        meta = {**body["metadata"], "uid": f"uid-{number}", "resourceVersion": str(number + 1)}
        store.put({"kind": "ChangeRequest", **body, "metadata": meta})
    observed = await Observer(store, lambda _: None, nobody_is_met).managed_vm(managed_vm(**spec))
    return set(observed.requests)


async def test_of_a_hundred_closed_requests_only_those_of_the_slip_in_force_are_read():
    closed = [change_request(change_id=f"c-{number}", state="Done") for number in range(100)]
    still_open = change_request(change_id="c-100", state="Scheduled")
    of_the_slip = closed[9].metadata.name
    assert await read(*closed, still_open, **ORDERED) == {of_the_slip, still_open.metadata.name}


async def test_without_a_slip_only_what_is_open_is_read():
    done, still_open = change_request(state="Done"), change_request("CPUs", "4", before="2")
    assert await read(done, still_open) == {still_open.metadata.name}
