"""Events: their names are made of what they say, and the API server must take them."""

import re

import pytest

from managedvm.metrics import Metrics
from managedvm.report import Notice
from managedvm.telling import Telling
from tests.factories import NOW
from tests.world_fast.fakes import FakeKube

NOTICE = Notice("Warning", "Conflict", "The VM is claimed", "Claimed")
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@pytest.mark.parametrize("name", ["web-01", "a" * 199 + "-b", "a" * 199 + ".b", "a" * 253])
async def test_an_object_of_any_name_can_be_told_about(name):
    kube = FakeKube()
    meta = {"namespace": "kunde-a", "name": name, "uid": "u", "resourceVersion": "1"}
    about = {"apiVersion": "managedvm.dev/v1alpha1", "kind": "ManagedVM", "metadata": meta}

    await Telling(kube, Metrics(), lambda: NOW, "replica").tell(about, (NOTICE,))

    [(_, _, told)] = kube.calls
    assert DNS_SUBDOMAIN.fullmatch(told)
    assert len(told) <= 253


async def test_the_same_said_twice_is_one_event():
    kube = FakeKube()
    meta = {"namespace": "kunde-a", "name": "web-01", "uid": "u", "resourceVersion": "1"}
    about = {"apiVersion": "managedvm.dev/v1alpha1", "kind": "ManagedVM", "metadata": meta}

    await Telling(kube, Metrics(), lambda: NOW, "replica").tell(about, (NOTICE, NOTICE))

    assert len(kube.objects) == 1
