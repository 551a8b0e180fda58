"""A hand in a real guest of the lab: an operator's way into it, through vCenter or over SSH."""

import asyncio
import contextlib
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from pydantic import SecretStr

from lab import vcenter_admin
from lab.facts import ADMINISTRATOR_USER
from lab.polling import wait_until
from managedvm.planning.jobs import Running
from managedvm.world.guests import Guest, GuestLogin, VMwareToolsExecutor
from managedvm.world.guests.transfer import Transfer
from managedvm.world.vsphere.connection import Server, Session
from managedvm.world.vsphere.soap import tls_context

MINUTE = timedelta(minutes=1)
CANARY = f"canary-{secrets.token_hex(8)}"


class Hand:
    """An operator's way into one guest; each has a session and threads of its own."""

    def __init__(self, lab, path, may_act=lambda: True):
        host_name, port = lab.vcenter_url.removeprefix("https://").removesuffix("/sdk").split(":")
        authority = lab.vcenter_ca.read_text()
        password = SecretStr(lab.passwords[ADMINISTRATOR_USER])
        self.session = Session(Server(host_name, ADMINISTRATOR_USER, password, int(port), authority), 30)
        self.threads = ThreadPoolExecutor(2)
        transfer = Transfer(host_name, tls_context(authority), 30)
        self.executor = VMwareToolsExecutor(self.session, transfer, self.threads, may_act)
        self.path = path
        self.guest = Guest(self.vm()._moId, GuestLogin("root", SecretStr(CANARY)))

    def vm(self):
        search = self.session.read(lambda: self.session.content.searchIndex)
        return self.session.read(lambda: search.FindByInventoryPath(f"Berlin/vm/{self.path}"))

    def done(self, task):
        """Wait for a task of the vCenter and return its result."""
        wait_until(lambda: task.info.state in ("success", "error"), "the task to end", seconds=30)
        assert task.info.state == "success", task.info.error
        return task.info.result

    def with_password(self, password):
        return Guest(self.guest.moref, GuestLogin("root", SecretStr(password)))

    async def start(self, job_id, *command, limit=MINUTE):
        await self.executor.start(self.guest, job_id, command, limit=limit)

    async def end(self, job_id):
        """What became of a job once it no longer runs."""
        return await until(lambda: self.result(job_id), lambda found: not isinstance(found, Running))

    async def result(self, job_id):
        return await self.executor.result(self.guest, job_id)

    async def read(self, path):
        return await self.executor.read_file(self.guest, path, most_bytes=1000)

    async def run(self, *command, limit=MINUTE):
        job_id = a_job()
        await self.start(job_id, *command, limit=limit)
        return await self.end(job_id)

    async def tools_answer(self):
        """Wait until VMware Tools run: after a boot."""

        async def status():
            return self.session.read(lambda: self.vm().guest.toolsRunningStatus)

        await until(status, lambda seen: seen == "guestToolsRunning")

    def close(self):
        self.session.close()
        self.threads.shutdown()


async def until(look, holds, seconds=60):
    """Look at the world until what is seen holds, and return it."""
    async with asyncio.timeout(seconds):
        while not holds(seen := await look()):  # noqa: ASYNC110 - a guest sends us no events
            await asyncio.sleep(0.1)
    return seen


def a_job():
    return f"test-{secrets.token_hex(6)}"


@contextlib.contextmanager
def real_machine(lab, **guest):
    """The path of a VM of this block alone that has a real inside."""
    admin = vcenter_admin.of(lab)
    path = f"guest-tests/{secrets.token_hex(4)}"
    admin.create_vm(
        path=path,
        cluster="cluster-1",
        cpus=1,
        memoryMiB=1024,
        poweredOn=True,
        disks=[{"sizeGiB": 10}],
        guest={"image": "debian", "memoryMiB": 256, "diskMiB": 768, "password": CANARY, **guest},
    )
    yield path
    admin.delete_vm(path)
