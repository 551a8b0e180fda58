"""Every metric of the operator: its name, its labels, its help. None has a label per VM."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The operator's own metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.passes = Counter(
            "managedvm_passes",
            "Finished passes by kind and result.",
            ["kind", "result"],
            registry=self.registry,
        )
        self.pass_seconds = Histogram(
            "managedvm_pass_duration_seconds",
            "How long a pass took.",
            ["kind"],
            buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60),
            registry=self.registry,
        )
        self.queue_seconds = Histogram(
            "managedvm_queue_wait_seconds",
            "How long a key waited for its pass, by lane.",
            ["lane"],
            buckets=(0.001, 0.01, 0.05, 0.1, 0.5, 2, 10, 60),
            registry=self.registry,
        )
        self.queue_depth = Gauge(
            "managedvm_queue_depth", "Keys that wait for a pass, by lane.", ["lane"], registry=self.registry
        )
        self.loop_lag = Gauge(
            "managedvm_event_loop_lag_seconds",
            "Worst lag of the event loop since the last scrape.",
            registry=self.registry,
        )
        self.active = Gauge(
            "managedvm_active", "1 while this replica holds the Lease.", registry=self.registry
        )
        self.objects = Gauge("managedvm_objects", "Objects known, by kind.", ["kind"], registry=self.registry)
        self.healed = Gauge(
            "managedvm_relist_healed",
            "Differences that a relist found and the watch had not told.",
            registry=self.registry,
        )
        self.findings = Gauge(
            "managedvm_findings",
            "Objects by what their latest pass found: aspect, status and reason.",
            ["kind", "aspect", "status", "reason"],
            registry=self.registry,
        )
        self.refusals = Gauge(
            "managedvm_refusals",
            "Objects for which something is refused or not kept, by clause of the contract.",
            ["clause", "reason"],
            registry=self.registry,
        )
        self.calls = Counter(
            "managedvm_actions",
            "Actions carried out, by name and clause.",
            ["action", "clause"],
            registry=self.registry,
        )
        self.writes = Counter(
            "managedvm_writes",
            "Writes to the API server, by kind and verb.",
            ["kind", "verb"],
            registry=self.registry,
        )
        self.vcenter_up = Gauge(
            "managedvm_vcenter_up",
            "1 while the inventory of a VCenter is healthy.",
            ["vcenter"],
            registry=self.registry,
        )
        self.events_dropped = Counter(
            "managedvm_events_dropped",
            "Events that could not be told; conditions tell the same.",
            registry=self.registry,
        )
