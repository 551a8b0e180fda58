"""A lab that is only facts: nothing of it runs."""

import pytest

from lab.facts import (
    ADMINISTRATOR_USER,
    CONTROL_PLANE,
    GUEST_USER,
    OPERATOR_USER,
    READONLY_USER,
    VCENTER,
    Lab,
)


@pytest.fixture
def paper_lab(tmp_path):
    ports = {"apiserver": 20001, "vcenter": 20002, "vcenter-admin": 20003, "etcd": 20004, "etcd-peer": 20005}
    return Lab(
        directory=tmp_path / "a lab's world",
        binaries=tmp_path / "bin",
        context="managedvm-lab",
        daemons=(*CONTROL_PLANE, VCENTER),
        ports={**ports, "controller-manager": 20006},
        passwords={
            OPERATOR_USER: "it's $secret",
            READONLY_USER: "r",
            ADMINISTRATOR_USER: "a",
            GUEST_USER: "g",
        },
    )
