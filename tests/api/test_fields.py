"""What a single field may hold: zones, hours, sizes of lists, and only values that the operator's models read too."""

import pytest
from pydantic import ValidationError

from managedvm.api.kinds import KINDS
from tests.api.bodies import (
    agreed_prices,
    change_request,
    contacts,
    custom,
    customer,
    managed_vm,
    order,
    price_list,
    requester,
    service_level,
    vcenter,
    work_entry,
)
from tests.api.server import assert_done, assert_refused

pytestmark = pytest.mark.lab

WRONG_ZONES = [
    "Europe/Berln",
    "europe/berlin",
    "CEST5",
    "Local",
    "posix/Europe/Berlin",
    "right/Europe/Berlin",
    "localtime",
    "posixrules",
    "Factory",
    "Europe//Berlin",
    "Europe/",
    "+02",
]
RIGHT_ZONES = ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+1", "Asia/Kathmandu"]
NIGHT = {"days": ["Sat", "Sun"], "start": "21:00", "end": "05:00"}
MODELS = {kind.KIND.kind: kind for kind in KINDS}


def agreed(zone, *windows):
    who = {"agreedBy": "Anna Beispiel", "agreedAt": "2026-01-01T00:00:00Z"}
    return {"maintenance": {"agreed": {"timeZone": zone, "windows": list(windows), **who}}}


@pytest.mark.parametrize("zone", WRONG_ZONES)
def test_an_agreed_window_in_no_real_zone_is_refused(tenant, name, zone):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, **agreed(zone, NIGHT)))
    assert_refused(
        answer, "spec.maintenance.agreed.timeZone", "clause 5.1", "write for example Europe/Berlin"
    )


@pytest.mark.parametrize("zone", WRONG_ZONES)
@pytest.mark.parametrize("field", ["maintenance", "faultIntake"])
def test_hours_of_a_level_in_no_real_zone_are_refused(tenant, name, zone, field):
    body = service_level(name)
    body["spec"][field]["timeZone"] = zone
    answer = tenant.provider.create(body, dryRun="All")
    assert_refused(answer, f"spec.{field}.timeZone", "clause 5.1", "write for example Europe/Berlin")


@pytest.mark.parametrize("zone", RIGHT_ZONES)
def test_an_agreed_window_in_a_real_zone_is_accepted(tenant, name, zone):
    assert_done(tenant.provider.create(managed_vm(tenant.namespace, name, **agreed(zone, NIGHT))))


@pytest.mark.parametrize("zone", [None, ""], ids=["none", "empty"])
def test_a_window_always_has_a_zone(tenant, name, zone):
    plan = agreed(zone, NIGHT)
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, **plan))
    assert_refused(answer, "spec.maintenance.agreed.timeZone")


@pytest.mark.parametrize(
    "window",
    [
        {**NIGHT, "days": []},
        {**NIGHT, "days": ["Sat", "Sat"]},
        {**NIGHT, "days": ["Samstag"]},
        {**NIGHT, "start": "24:00"},
        {**NIGHT, "start": "7:00"},
        {"days": ["Sat"], "start": "07:00"},
    ],
    ids=["no day", "a day twice", "German", "24:00", "one digit", "no end"],
)
def test_a_window_that_nobody_can_keep_is_refused(tenant, name, window):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, **agreed("UTC", window)))
    assert_refused(answer, "spec.maintenance.agreed.windows[0]")


def test_a_level_has_windows_or_agrees_them_one_by_one(tenant, name):
    body = service_level(name, maintenance={"timeZone": "UTC", "windows": []})
    assert_refused(tenant.provider.create(body), "spec.maintenance", "set agreedIndividually", "clause 5.1")
    body["spec"]["maintenance"]["agreedIndividually"] = True
    assert_done(tenant.provider.create(body, dryRun="All"))


def test_a_freeze_ends_after_it_begins(tenant, name):
    backwards = {"from": "2026-12-02T00:00:00Z", "until": "2026-12-02T00:00:00Z", "reason": "sale"}
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, maintenance={"freezes": [backwards]}))
    assert_refused(answer, "spec.maintenance.freezes[0]", "until must be later than from", "clause 5.1")


@pytest.mark.parametrize("wrong", ["2nd-premium", "gold.plus"])
def test_a_level_has_a_name_that_orders_can_say(tenant, wrong):
    answer = tenant.provider.create(service_level(wrong), dryRun="All")
    assert_refused(answer, "metadata.name", "short lower-case name", "clause 1")


def test_a_grant_never_climbs(tenant, name):
    grant = {"namespace": tenant.namespace, "folder": "/Berlin/vm/kunde-a/.."}
    answer = tenant.provider.create(vcenter(name, grants=[grant]), dryRun="All")
    assert_refused(answer, "spec.grants[0].folder", "clause 1", "write it without . and ..")


def _orders(count):
    year = "{}-01-01T00:00:00Z".format
    return [order(f"A-{n}", until=year(2001 + n)) | {"from": year(2000 + n)} for n in range(count)]


def _disks(count):
    return [{"name": f"d{n}", "deviceNode": f"SCSI({n // 10}:{n % 10})", "size": "1Gi"} for n in range(count)]


def _freezes(count):
    one = {"from": "2026-12-01T00:00:00Z", "until": "2026-12-02T00:00:00Z", "reason": "sale"}
    return {"freezes": [one] * count}


def _rates(count):
    body = price_list("prices")
    first = body["spec"]["rates"][0]
    body["spec"]["rates"] = [{**first, "from": f"{2000 + n}-01-01T00:00:00Z"} for n in range(count)]
    return body


def _taxes(count):
    body = price_list("prices")
    body["spec"]["vat"] = [{"from": f"{2000 + n}-01-01T00:00:00Z", "percent": "19"} for n in range(count)]
    return body


def _price_lists(count):
    body = customer("cust", "ns-prices")
    body["spec"]["priceLists"] = [agreed_prices("p", f"{2000 + n}-01-01T00:00:00Z") for n in range(count)]
    return body


LISTS = {
    "spec.orders": (16, lambda n: managed_vm("ns", "vm", orders=_orders(n))),
    "spec.resources.disks": (16, lambda n: managed_vm("ns", "vm", resources={"disks": _disks(n)})),
    "spec.maintenance.freezes": (16, lambda n: managed_vm("ns", "vm", maintenance=_freezes(n))),
    "spec.maintenance.agreed.windows": (14, lambda n: managed_vm("ns", "vm", **agreed("UTC", *[NIGHT] * n))),
    "spec.requesters": (64, lambda n: contacts("ns", *(requester(f"r{i}@example") for i in range(n)))),
    "spec.namespaces": (32, lambda n: customer("cust", *(f"ns-{i}" for i in range(n)))),
    "spec.grants": (
        512,
        lambda n: vcenter("vc", grants=[{"namespace": "ns", "folder": f"/dc/{i}"} for i in range(n)]),
    ),
    "spec.rates": (64, _rates),
    "spec.vat": (32, _taxes),
    "spec.priceLists": (16, _price_lists),
}


WAYS_OUT = {
    "spec.orders": ("at most 16", "clause 1", "create it again with the orders that are in force"),
    "spec.requesters": ("at most 64", "clause 4", "create it again with the entries that are in force"),
}
"""What a refusal says of a list from which nothing is ever removed."""


@pytest.mark.parametrize("field", LISTS)
def test_a_list_has_a_limit(tenant, field):
    limit, make = LISTS[field]
    full, over = make(limit), make(limit + 1)
    for body in (full, over):
        if "namespace" in body["metadata"]:
            body["metadata"]["namespace"] = tenant.namespace
    if full["kind"] == "ManagedVM":
        full["spec"]["customerRef"] = over["spec"]["customerRef"] = {"name": tenant.namespace}
    words = WAYS_OUT.get(field, (f"must have at most {limit} items",))
    assert_refused(tenant.provider.create(over, dryRun="All"), field, *words)
    assert_done(tenant.provider.create(full, dryRun="All"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("reference", "A" * 65), ("serviceLevel", "a" * 64), ("reference", "A 1"), ("serviceLevel", "Premium")],
)
def test_a_text_has_a_limit_and_a_form(tenant, name, field, value):
    answer = tenant.provider.create(managed_vm(tenant.namespace, name, orders=[order() | {field: value}]))
    assert_refused(answer, f"spec.orders[0].{field}")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2026-12-01T00:00:00.0000001Z", "2026-12-01T00:00:00.0000002Z"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00.999999999Z"),
        ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ("2026-12-02T00:00:00Z", "2026-12-01T00:00:00Z"),
    ],
)
def test_a_freeze_lasts_a_second_at_least(tenant, name, begin, end):
    freeze = {"from": begin, "until": end, "reason": "sale"}
    body = managed_vm(tenant.namespace, name, maintenance={"freezes": [freeze]})
    answer = tenant.provider.create(body, dryRun="All")
    assert_refused(answer, "spec.maintenance.freezes[0]", "until", "clause 5.1", "write whole seconds")
    freeze["until"] = "2026-12-02T00:00:01Z"
    body = managed_vm(tenant.namespace, name, maintenance={"freezes": [freeze]})
    assert_done(tenant.provider.create(body, dryRun="All"))


@pytest.mark.parametrize("port", ["0", "65536", "99999"])
def test_a_port_that_no_server_has_is_refused(tenant, name, port):
    answer = tenant.provider.create(vcenter(name, server=f"vcenter.example:{port}"), dryRun="All")
    assert_refused(answer, "spec.server", "a port is 1 to 65535", "clause 1", "vcenter.example:443")


@pytest.mark.parametrize("server", ["vcenter.example", "vcenter.example:1", "10.0.0.1:65535"])
def test_a_port_that_a_server_may_have_is_accepted(tenant, name, server):
    assert_done(tenant.provider.create(vcenter(name, server=server), dryRun="All"))


INSTANTS = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00+02:00",
    "2026-01-01T00:00:00.123456789Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00Z",
    "2026-01-01",
    "2026-13-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-01-01T24:00:00Z",
    "2026-06-30T23:59:60Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-14:00",
    "10000-01-01T00:00:00Z",
    "2026-01-01T00:00:00+99:99",
    "1767225600",
    "",
]
DURATIONS = [
    "15m",
    "0s",
    "1h30m",
    "99999h",
    "100000h",
    "999999999999999h",
    "1m1h",
    "1.5h",
    "-5m",
    "5",
    "h",
    "5M",
    " 5m",
]
AMOUNTS = [
    "120.00",
    "0.00",
    "-1.00",
    "1.0",
    "1",
    "1e3",
    "999999999999.99",
    "9999999999999.99",
    "1,00",
    "\u0661.00",
]
SIZES = ["24Ti", "24577Gi", "4Gi", "0Gi", "1.5Gi", "4G", "4gi", "04Gi", "99999999999999Ti", "\u0664Gi"]
PATHS = ["/a", "/a/b", "a/b", "/a/", "//a", "/", "/a/b/\n", "/Berlin/vm/\u00dcber uns/web 01"]


def _probes(namespace):
    for instant in INSTANTS:
        yield instant, contacts(namespace, requester("a@example", instant))
        yield instant, managed_vm(namespace, "probe", orders=[order() | {"from": instant}])
        yield instant, work_entry(namespace, "probe", "a@example", begin=instant, end=None, minutes=1)
    for duration in DURATIONS:
        yield duration, service_level("probe", reactionTime=duration)
    for amount in AMOUNTS:
        body = price_list("probe")
        body["spec"]["rates"][0]["hourly"] = amount
        yield amount, body
    for size in SIZES:
        yield size, managed_vm(namespace, "probe", resources={"memory": size})
        disk = {"name": "data", "deviceNode": "SCSI(0:1)", "size": size}
        yield size, managed_vm(namespace, "probe", resources={"disks": [disk]})
    for path in PATHS:
        identity = {"vCenterRef": {"name": "nowhere"}, "inventoryPath": path}
        yield path, managed_vm(namespace, "probe", vm=identity)


def test_what_the_api_server_accepts_the_models_can_read(tenant):
    unreadable, accepted = [], 0
    for value, body in _probes(tenant.namespace):
        answer = tenant.admin.create(body, dryRun="All")
        if not answer.ok:
            continue
        accepted += 1
        try:
            MODELS[body["kind"]].of(answer.body)
        except (ValidationError, OverflowError) as error:
            unreadable.append((body["kind"], value, str(error)))
    assert accepted > 20
    assert unreadable == []


def test_an_unknown_field_is_refused_where_the_client_asks_for_it(tenant, name):
    body = managed_vm(tenant.namespace, name, deletionProtektion=False)
    answer = tenant.provider.create(body, fieldValidation="Strict")
    assert answer.code == 400
    assert "spec.deletionProtektion" in answer.message


def test_a_kind_of_request_that_does_not_exist_is_refused(tenant, name):
    body = change_request(tenant.namespace, name, tenant.user("requester"), kind="Anything")
    assert_refused(tenant.requester.create(body), "spec.kind", "ConfigurationChange")


def test_a_singleton_has_one_name(tenant):
    body = custom("CustomerContacts", "others", tenant.namespace, {"requesters": []})
    assert_refused(tenant.customer.create(body), "metadata.name", "contacts", "clause 4")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("heartbeatFailureInterval", ("0s", "9s", "11m")),
        ("minimumUptime", ("0s", "29s", "61m")),
        ("streakEndsAfter", ("0s", "9m59s", "169h")),
    ],
)
def test_an_interval_of_high_availability_that_would_break_its_promise_is_refused(tenant, name, field, wrong):
    for interval in wrong:
        body = service_level(name)
        body["spec"]["highAvailability"][field] = interval
        answer = tenant.provider.create(body, dryRun="All")
        assert_refused(answer, f"spec.highAvailability.{field}", "clause 5.2", "write for example")


@pytest.mark.parametrize(("heartbeat", "streak"), [("10s", "10m"), ("30s", "1h"), ("10m", "168h")])
def test_an_interval_of_high_availability_within_its_bounds_is_accepted(tenant, name, heartbeat, streak):
    body = service_level(name)
    body["spec"]["highAvailability"] |= {"heartbeatFailureInterval": heartbeat, "streakEndsAfter": streak}
    assert_done(tenant.provider.create(body, dryRun="All"))


@pytest.mark.parametrize("quiet", ["0s", "30s", "119s", "121s", "1h"])
def test_the_time_without_activity_is_the_contracts(tenant, name, quiet):
    body = service_level(name)
    body["spec"]["highAvailability"]["ioQuietInterval"] = quiet
    answer = tenant.provider.create(body, dryRun="All")
    assert_refused(answer, "spec.highAvailability.ioQuietInterval", "clause 5.2", "write 120s")
    body["spec"]["highAvailability"]["ioQuietInterval"] = "2m"
    assert_done(tenant.provider.create(body, dryRun="All"))


def test_more_restarts_in_a_row_than_the_contract_allows_are_refused(tenant, name):
    body = service_level(name)
    for number in (4, 10):
        body["spec"]["highAvailability"]["maximumRestarts"] = number
        answer = tenant.provider.create(body, dryRun="All")
        assert_refused(answer, "spec.highAvailability.maximumRestarts", "clause 5.2", "write 3 or less")
    body["spec"]["highAvailability"]["maximumRestarts"] = 1
    assert_done(tenant.provider.create(body, dryRun="All"))


@pytest.mark.parametrize("field", ["reactionTime", "recoveryTime"])
def test_a_time_that_nobody_can_keep_is_not_promised(tenant, name, field):
    body = service_level(name)
    body["spec"][field] = "0s"
    answer = tenant.provider.create(body, dryRun="All")
    assert_refused(answer, f"spec.{field}", "clause 4.1", "write for example")
