"""Every metric of the operator: its name, its labels, its help. None has a label per VM."""

from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_PASS_SECONDS = (0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60)
_WAIT_SECONDS = (0.001, 0.01, 0.05, 0.1, 0.5, 2, 10, 60)


class Metrics:
    """The operator's own metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter = partial(Counter, registry=self.registry)
        gauge = partial(Gauge, registry=self.registry)
        histogram = partial(Histogram, registry=self.registry)

        self.passes = counter("managedvm_passes", "Finished passes.", ["kind", "result"])
        self.pass_seconds = histogram(
            "managedvm_pass_duration_seconds", "How long a pass took.", ["kind"], buckets=_PASS_SECONDS
        )
        self.queue_seconds = histogram(
            "managedvm_queue_wait_seconds", "How long a key waited.", ["lane"], buckets=_WAIT_SECONDS
        )
        self.queue_depth = gauge("managedvm_queue_depth", "Keys that wait for a pass.", ["lane"])
        self.loop_lag = gauge(
            "managedvm_event_loop_lag_seconds", "Worst lag of the loop since the last scrape."
        )
        self.clock_skew = gauge(
            "managedvm_clock_skew_seconds", "How far this machine's clock is ahead of the API server's."
        )
        self.active = gauge("managedvm_active", "1 while this replica holds the Lease.")
        self.objects = gauge("managedvm_objects", "Objects known.", ["kind"])
        self.healed = gauge(
            "managedvm_relist_healed", "Differences that a relist found and the watch had not told."
        )
        self.findings = gauge(
            "managedvm_findings",
            "Objects by what their latest pass found.",
            ["kind", "aspect", "status", "reason"],
        )
        self.refusals = gauge(
            "managedvm_refusals", "Objects for which a promise is refused or not kept.", ["clause", "reason"]
        )
        self.writes = counter("managedvm_writes", "Writes to the API server.", ["kind", "verb"])
        self.vcenter_up = gauge("managedvm_vcenter_up", "1 while the inventory is healthy.", ["vcenter"])
        self.helpdesk_up = gauge("managedvm_helpdesk_up", "1 while the helpdesk answers, where there is one.")
        self.helpdesk_held = gauge(
            "managedvm_helpdesk_tickets_held", "Tickets that wait for what they lack, such as the VM."
        )
        self.helpdesk_untold = gauge(
            "managedvm_helpdesk_untold",
            "Requests and work that their tickets in the helpdesk do not have yet.",
        )
        self.events_dropped = counter("managedvm_events_dropped", "Events that could not be told.")
