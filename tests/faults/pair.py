"""Two replicas, and an election so broken that both believe to be alone."""

import orjson

from lab import wait_until
from lab.faultproxy import Answer


class Pair:
    """Two replicas, of which `leader` holds the Lease."""

    def __init__(self, lab):
        self.lab = lab
        self.replicas = {f"replica-{number}": lab.replica(number) for number in (1, 2)}
        first, second = self.replicas.values()
        lab.free_lease()
        first.start()
        wait_until(lambda: self.active(first), "the first to act", seconds=60)
        second.start()
        wait_until(lambda: self.ready(second), "the second to stand by", seconds=60)
        self.leader, self.standby = first, second

    def active(self, replica):
        """Return whether a replica says that it may act."""
        return b"managedvm_active 1.0" in self.ask(replica, "metrics")

    def ready(self, replica):
        """Return whether a replica knows the world."""
        return self.ask(replica, "readyz") == b"ok"

    def ask(self, replica, what):
        """Return what the health endpoint says, nothing from one that is gone."""
        pool = self.lab.client.pool
        try:
            answer = pool.request("GET", f"http://127.0.0.1:{replica.health_port}/{what}", retries=False)
        except OSError:
            return b""
        except Exception as error:
            if type(error).__module__.startswith("urllib3"):
                return b""
            raise
        return answer.data

    def end(self):
        """End both."""
        for replica in self.replicas.values():
            replica.kill()
        self.lab.free_lease()


def broken_election(proxy):
    """Let each of two replicas believe that the Lease is its own; return the rules to remove."""
    return [
        proxy.inject(
            lambda call, door=door: call.door == door and call.what.endswith(" leases"),
            _granted(),
            times=None,
        )
        for door in ("replica-1", "replica-2")
    ]


def _granted():
    """Return a fault that stands for a broken election: whoever asks is told that the Lease is his."""
    version = iter(range(1, 1 << 30))

    async def fault(exchange):
        body = orjson.loads(exchange.body or b"{}")
        if not body:
            return exchange.refusal(404)
        body["metadata"]["resourceVersion"] = str(next(version))
        return Answer(200, (("Content-Type", "application/json"),), orjson.dumps(body))

    return fault
