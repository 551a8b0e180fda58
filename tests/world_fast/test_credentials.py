"""The credentials of a vCenter go to the servers that their Secret names, and nowhere else."""

from base64 import b64encode

import pytest

from managedvm.errors import InvalidCredentialsError
from managedvm.world.credentials import server_of
from tests.factories import vcenter_spec

RIGHT = {"server": "vcenter.example", "username": "operator", "password": "the-password", "ca.crt": "PEM"}


def secret(**values):
    kept = {key: value for key, value in {**RIGHT, **values}.items() if value is not None}
    data = {key: b64encode(value.encode()).decode() for key, value in kept.items()}
    return {"metadata": {"namespace": "managedvm-system", "name": "vcenter-berlin"}, "data": data}


@pytest.mark.parametrize(
    ("server", "of_the_secret"),
    [
        ("vcenter.example", "vcenter.example"),
        ("vcenter.example", "vcenter.example:443"),
        ("vcenter.example:443", "VCenter.Example"),
        ("vcenter.example:8443", "old.example vcenter.example:8443"),
        ("10.0.0.1", "vcenter.example\n10.0.0.1\n"),
    ],
)
def test_a_secret_is_for_the_servers_that_it_names(server, of_the_secret):
    found = server_of(vcenter_spec(server=server), secret(server=of_the_secret))
    assert (found.username, found.password.get_secret_value(), found.ca) == (
        "operator",
        "the-password",
        "PEM",
    )
    assert f"{found.host}:{found.port}".startswith(server)


@pytest.mark.parametrize(
    "server",
    [
        "127.0.0.1:29443",
        "vcenter.example:8443",
        "vcenter.example.attacker.example",
        "other.vcenter.example",
    ],
)
def test_to_any_other_server_nothing_of_it_is_sent(server):
    with pytest.raises(InvalidCredentialsError) as said:
        server_of(vcenter_spec(server=server), secret())
    assert f"is not for {server}, so nothing of it is sent there. Correct spec.server" in str(said.value)
    assert "the-password" not in str(said.value)


@pytest.mark.parametrize(
    "of_the_secret", ["vcenter.example:https", "vcenter.example,other.example", ":443", ":"]
)
def test_what_names_no_server_is_none(of_the_secret):
    with pytest.raises(InvalidCredentialsError, match=r"is not for vcenter\.example"):
        server_of(vcenter_spec(), secret(server=of_the_secret))


@pytest.mark.parametrize("key", ["server", "username", "password"])
@pytest.mark.parametrize("value", [None, "", " "], ids=["missing", "empty", "blank"])
def test_a_secret_without_one_of_its_keys_says_which_it_needs(key, value):
    with pytest.raises(InvalidCredentialsError, match="needs the keys server, username and password"):
        server_of(vcenter_spec(), secret(**{key: value}))


def test_a_ca_that_is_asked_for_and_missing_is_not_replaced_by_the_systems_trust():
    with pytest.raises(InvalidCredentialsError, match=r"no key none, and spec\.tls\.caKey asks for it"):
        server_of(vcenter_spec(tls={"caKey": "none"}), secret())


def test_without_a_ca_the_system_decides_whom_to_trust():
    assert server_of(vcenter_spec(), secret(**{"ca.crt": None})).ca is None
