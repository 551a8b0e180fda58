"""A month with everything in it that a statement can show."""

import pytest

from managedvm.planning.bill import bill
from tests.bookkeeping import books, close, request, reversal, work


def surcharged(entry, percent, amount):
    line = entry.charge.lines[0].model_copy(
        update={"surcharge": "evening", "surcharge_percent": percent, "amount": amount}
    )
    cost = entry.charge.model_copy(update={"lines": (line,), "amount": amount})
    return entry.model_copy(update={"status": entry.status.model_copy(update={"charge": cost})})


@pytest.fixture(scope="module")
def known():
    """A month with effort, a surcharge, included work, a counter-entry, automated work and work that is not accepted."""
    twice = work("twice", "2026-10-15T07:00", 60)
    evening = surcharged(work("malware", "2026-10-21T18:10", 90, on="chg-3", cause="Malware"), "25", "225.00")
    return close(
        books(
            request(),
            request("chg-2", kind="FaultReport", channel="Phone", managedVMRef={"name": "db-01"}),
            request("chg-3", kind="MalwareRemoval", channel="Helpdesk", ticket="4733"),
            work(activity="Virtuellen Host für den Shop angelegt."),
            work("free", "2026-10-12T02:10", 30, on="chg-2", charge={"billing": "Included", "clause": "4.1"}),
            work("auto", "2026-10-14T04:00", 0.05, by="operator"),
            twice,
            reversal(twice, "2026-10-16T08:00"),
            evening,
            work("waiting", "2026-10-21T19:00", accepted=False),
        ),
        "2026-10",
    )


@pytest.fixture
def month(known):
    return bill(known.pages)
