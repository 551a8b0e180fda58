"""An sshd on loopback that runs what it is sent in a shell of this machine."""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE

import asyncssh


def public(key):
    return " ".join(key.export_public_key().decode().split()[:2])


class Account(asyncssh.SSHServer):
    """Lets one user in by one password, and notes every attempt."""

    def __init__(self, sshd):
        self.sshd = sshd

    def begin_auth(self, username):
        self.sshd.asked.append(username)
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        self.sshd.asked.append(password)
        return (username, password) == ("root", self.sshd.password)

    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        return username == "root" and public(key) == self.sshd.user_key

    def connection_requested(self, _dest_host, dest_port, _orig_host, _orig_port):
        self.sshd.led_to.append(dest_port)
        return True


class Sshd:
    """One sshd. `asked` has the users and passwords that were sent to it, `ran` the commands."""

    def __init__(self, password=None, kind="ssh-ed25519", path=None):
        self.password = password or "secret-of-root"
        self.key = asyncssh.generate_private_key(kind)
        self.user_key = ""
        self.path = path or os.environ["PATH"]
        self.asked, self.ran, self.led_to = [], [], []
        self.loses_answers = False
        self._server = None

    async def start(self, port=0):
        self._server = await asyncssh.create_server(
            lambda: Account(self),
            "127.0.0.1",
            port,
            server_host_keys=[self.key],
            process_factory=self._process,
            encoding=None,
        )
        return self

    @property
    def port(self):
        return self._server.sockets[0].getsockname()[1]

    @property
    def host_key(self):
        return public(self.key)

    async def stop(self):
        self._server.close()
        await self._server.wait_closed()

    async def _process(self, process):
        self.ran.append(process.command)
        sent = await process.stdin.read()
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", process.command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env={"PATH": self.path}
        )
        said, _ = await child.communicate(sent)
        if self.loses_answers:
            process.get_extra_info("connection").abort()
            return
        process.stdout.write(said)
        process.exit(child.returncode)
