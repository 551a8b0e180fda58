"""A Kubernetes API server in a dict, as far as the port's contract goes: names are unique, versions move on."""

from managedvm.errors import StaleError
from managedvm.world.kube import AlreadyExistsError, NotFoundError


def merged(before, patch):
    """Return what a JSON merge patch (RFC 7396) makes of an object."""
    if not isinstance(before, dict) or not isinstance(patch, dict):
        return patch
    kept = {key: value for key, value in before.items() if patch.get(key, value) is not None}
    return kept | {key: merged(before.get(key), value) for key, value in patch.items() if value is not None}


class FakeKube:
    """Holds objects by kind, namespace and name, and lists each call."""

    def __init__(self, *bodies):
        self.objects = {}
        self.calls = []
        self.version = 100
        for body in bodies:
            self._store(body)

    def _store(self, body):
        self.version += 1
        meta = body["metadata"]
        stored = {
            **body,
            "metadata": {"uid": f"uid-{meta['name']}", **meta, "resourceVersion": str(self.version)},
        }
        self.objects[body["kind"], meta.get("namespace", ""), meta["name"]] = stored
        return stored

    async def get(self, kind, namespace, name):
        self.calls.append(("get", kind, name))
        try:
            return self.objects[kind, namespace, name]
        except KeyError:
            raise NotFoundError(name) from None

    async def create(self, body):
        meta = body["metadata"]
        self.calls.append(("create", body["kind"], meta["name"]))
        if (body["kind"], meta.get("namespace", ""), meta["name"]) in self.objects:
            raise AlreadyExistsError(meta["name"])
        return self._store(body)

    async def patch_status(self, kind, namespace, name, status, resource_version):
        self.calls.append(("patch", kind, name))
        stored = await self.get(kind, namespace, name)
        self.calls.pop()
        if stored["metadata"]["resourceVersion"] != resource_version:
            raise StaleError(name)
        return self._store({**stored, "status": merged(stored.get("status", {}), status)})

    async def delete(self, kind, name, uid):
        self.calls.append(("delete", kind, name))
        stored = self.objects.get((kind, "", name))
        if stored and stored["metadata"]["uid"] == uid:
            del self.objects[kind, "", name]


class FakeVSphere:
    """Lists what it was asked to do; `error` is raised instead once."""

    def __init__(self):
        self.sent = []
        self.error = None
        self.refuses = {}
        """The error of each kind of action that is always refused."""

    async def _do(self, what):
        if type(what) in self.refuses:
            raise self.refuses[type(what)]
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent.append(what)

    async def override_high_availability(self, action):
        await self._do(action)

    async def configure_cluster(self, action):
        await self._do(action)

    async def reconfigure(self, action):
        await self._do(action)

    async def reserve(self, vm):
        await self._do(("reserve", vm))

    async def shut_down_guest(self, vm):
        await self._do(("shut down", vm))

    async def power_on(self, vm):
        await self._do(("power on", vm))

    async def take_snapshot(self, action):
        await self._do(action)

    async def revert_to_snapshot(self, action):
        await self._do(action)

    async def remove_snapshot(self, action):
        await self._do(action)


async def nobody_is_met(*_):
    """No guest is reached over SSH."""
    return
