"""The passes of requests, work and helpdesk over a dict of objects and a helpdesk on the loopback."""

import asyncio
import itertools
from base64 import b64encode
from datetime import timedelta

from managedvm.clock import utc_now
from managedvm.engine.objects import ObjectKey
from managedvm.engine.store import Store
from managedvm.errors import ManagedVMError
from managedvm.reconcile import Reconciler
from managedvm.ticketing.passes import CORRESPONDENCE, KINDS, Ticketing
from managedvm.wiring import INDEXES, affected
from managedvm.world.helpdesk.link import Link
from managedvm.world.observe import Observer
from managedvm.world.unchanged import Unchanged
from tests.api import bodies
from tests.api.policies import shipped
from tests.world_fast.fakes import FakeKube, nobody_is_met

HELPDESK = ObjectKey("Helpdesk", "", "helpdesk")
ANNA = "a.beispiel@kunde-a.example"
TECHNICIAN = "t.technik@provider.example"


class Kube(FakeKube):
    """A dict of objects that dates what is created and gives a born record its status, as the API server does."""

    def __init__(self, clock):
        self.clock = clock
        super().__init__()

    def _store(self, body):
        meta = body["metadata"]
        uid = "-".join(filter(None, ("uid", meta.get("namespace"), meta["name"])))
        return super()._store({**body, "metadata": {"uid": uid, **meta}})

    async def create(self, body):
        meta = {**body["metadata"], "creationTimestamp": f"{self.clock():%Y-%m-%dT%H:%M:%SZ}"}
        born = {"status": {"state": "Ordered"}} if body["kind"] == "ChangeRequest" else {}
        return await super().create({**body, "metadata": meta, **born})


class Stand:
    """One replica and its world; `restart` makes a new replica in the same world."""

    def __init__(self, served, ca, **spec):
        self.ahead = timedelta()
        self.served, self.server = served, served.zammad
        self.kube = Kube(self.clock)
        self.told, self.counted, self.errors = [], {}, []
        data = {"token": self.server.token, "webhookSecret": self.server.webhook_secret, "ca.crt": ca}
        secret = {name: b64encode(value.encode()).decode() for name, value in data.items()}
        where = {"namespace": "managedvm-system", "name": "helpdesk"}
        self.objects = [{"apiVersion": "v1", "kind": "Secret", "metadata": where, "data": secret}]
        self.objects += shipped()
        body = bodies.helpdesk(url=served.url, credentialsSecretRef={"name": "helpdesk"}, **spec)
        body["metadata"] |= {"creationTimestamp": f"{self.clock() - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"}
        package = bodies.order(servicePackage="Advanced")
        for namespace in ("kunde-a", "kunde-b"):
            self.objects += [
                bodies.customer(namespace, namespace),
                bodies.managed_vm(namespace, "web-01", orders=[package]),
                bodies.contacts(namespace, bodies.requester(f"a.beispiel@{namespace}.example")),
            ]
        level = bodies.service_level("standard")
        self.objects += [level, bodies.price_list("standard"), body]
        for one in self.objects:
            self.kube._store(one)
        self._begin()

    def clock(self):
        return utc_now() + self.ahead

    async def restart(self):
        """Forget everything, as a process that was killed, and read the world anew."""
        await self.link.close()
        self._begin()

    def _begin(self):
        self.store, self.waiting, self.later = Store(INDEXES), [], {}
        self.link = Link(self.kube, namespace="managedvm-system", clock=self.clock, may_act=lambda: True)
        self.ticketing = Ticketing(
            self.store, self.link, self.kube, self, self.clock, changed=self.put, wanted=self.waiting.append
        )
        self.reconciler = Reconciler(
            store=self.store,
            observer=Observer(self.store, lambda _: None, nobody_is_met),
            unchanged=Unchanged(self.store, lambda _: None),
            kube=self.kube,
            vsphere_of=lambda _: None,
            teller=self,
            clock=self.clock,
            changed=self.put,
            wanted=self.waiting.append,
        )
        for body in list(self.kube.objects.values()):
            if body["kind"] != "Secret":
                self.put(body)

    def put(self, body):
        change = self.store.put(body)
        if change is not None:
            ours = (*KINDS, "ChangeRequest", "WorkEntry")
            self.waiting += [key for key, _ in affected(change, self.store) if key.kind in ours]

    async def write(self, body):
        """Create an object as a person does."""
        self.put(await self.kube.create(body))

    def edit(self, kind, namespace, name, **parts):
        """Change an object as a person does."""
        there = self.kube.objects[kind, namespace, name]
        meta = {**there["metadata"], "generation": there["metadata"].get("generation", 0) + 1}
        self.put(self.kube._store({**there, **parts, "metadata": meta}))

    async def settle(self):
        """Run all passes that are asked for, until none is asked for."""
        for _ in itertools.takewhile(lambda _: self.waiting, range(200)):
            now, self.waiting[:] = list(dict.fromkeys(self.waiting)), []
            await asyncio.gather(*(self._pass(key) for key in now))
        assert not self.waiting

    async def _pass(self, key):
        passes = self.ticketing if key.kind in KINDS else self.reconciler
        try:
            self.later[key] = (await passes.reconcile(key)).next_check
        except ManagedVMError as error:
            self.errors.append(error)

    async def poll(self):
        """Let the poll interval pass, and settle."""
        self.ahead += timedelta(minutes=2)
        self.waiting.append(HELPDESK)
        await self.settle()

    async def again(self):
        """Let all rests pass, and look at everything once more."""
        self.ahead += timedelta(minutes=6)
        self.waiting += [key for key in self.later if key.kind != "WorkEntry"]
        await self.settle()
        await self.settle()

    async def tell(self, about, told):
        self.told += [(about["metadata"]["name"], notice.reason) for notice in told]

    def found(self, key, findings):
        self.counted[key] = [finding.reason.word for finding in findings]

    def requests(self):
        return {key[1:]: body for key, body in self.kube.objects.items() if key[0] == "ChangeRequest"}

    def status(self):
        return self.kube.objects["Helpdesk", "", "helpdesk"].get("status", {})

    def said(self, kind):
        """Return what a condition of the Helpdesk says."""
        found = [one for one in self.status().get("conditions", ()) if one["type"] == kind]
        return (found[0]["status"], found[0]["reason"]) if found else None

    def subjects(self, ticket):
        """Return the notes of ours in a ticket, without what they have in common."""
        return [note["subject"].split(": ", 1)[1] for note in self.server.notes(ticket)]

    def corresponds(self, name, namespace="kunde-a"):
        self.waiting.append(ObjectKey(CORRESPONDENCE, namespace, name))
