"""The catalogue holds the figures that the provider publishes, and it and the samples are what the models read."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from managedvm.api.base import format_duration
from managedvm.api.crds import crd_of
from managedvm.api.customer import Customer
from managedvm.api.customercontacts import CustomerContacts
from managedvm.api.kinds import KINDS
from managedvm.api.pricelist import PriceList
from managedvm.api.servicelevel import ServiceLevel
from tests.api.schemas import root_schema

MANIFESTS = Path(__file__).parents[2] / "manifests"
MODELS = {kind.KIND.kind: kind for kind in KINDS}
WEEK = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# The four categories as published (clauses 1, 4.1, 5.1 and 5.2 refer to them). Downtimes are in hours a year.
PUBLISHED: dict[str, dict[str, Any]] = {
    "basic": {
        "availability": "99.5",
        "downtime": 43.8,
        "reaction": "4h",
        "recovery": "12h",
        "windows": [(WEEK, "21:00", "08:00")],
        "announced": False,
        "priority": "Lowest",
        "package": "Optional",
    },
    "standard": {
        "availability": "99.9",
        "downtime": 8.8,
        "reaction": "2h",
        "recovery": "8h",
        "windows": [(WEEK, "05:00", "07:00")],
        "announced": False,
        "priority": "Medium",
        "package": "Optional",
    },
    "professional": {
        "availability": "99.95",
        "downtime": 4.4,
        "reaction": "1h",
        "recovery": "4h",
        "windows": [(("Sat", "Sun"), "05:00", "07:00")],
        "announced": True,
        "priority": "High",
        "package": "Mandatory",
    },
    "premium": {
        "availability": "99.98",
        "downtime": 1.75,
        "reaction": "30m",
        "recovery": "2h",
        "windows": [],
        "announced": True,
        "priority": "Highest",
        "package": "Mandatory",
    },
}


def documents(*folders: str) -> list[dict[str, Any]]:
    paths = [path for folder in folders for path in sorted((MANIFESTS / folder).glob("*.yaml"))]
    loaded = [document for path in paths for document in yaml.safe_load_all(path.read_text())]
    return [document for document in loaded if document["kind"] in MODELS]


LEVELS = {
    body["metadata"]["name"]: ServiceLevel.of(body).spec
    for body in documents("catalogue")
    if body["kind"] == "ServiceLevel"
}
OURS = documents("catalogue", "samples")
PRODUCTION = documents("overlays/production")


def left_to_a_default(value: Any, schema: dict[str, Any], path: str, *, in_list: bool = False) -> list[str]:
    """Return what an object leaves to a default within a list, by its path."""
    if "items" in schema:
        return [
            found
            for number, item in enumerate(value)
            for found in left_to_a_default(item, schema["items"], f"{path}[{number}]", in_list=True)
        ]
    fields = schema.get("properties", {})
    missing = [
        f"{path}.{name}"
        for name, field in fields.items()
        if in_list and "default" in field and name not in value
    ]
    return missing + [
        found
        for name, inner in (value.items() if fields else ())
        if name in fields
        for found in left_to_a_default(inner, fields[name], f"{path}.{name}", in_list=in_list)
    ]


def test_the_catalogue_has_the_four_published_levels():
    assert set(LEVELS) == set(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_level_promises_what_is_published(name):
    level, published = LEVELS[name], PUBLISHED[name]
    found = {
        "availability": level.availability_percent,
        "downtime": level.maximum_downtime_per_year.total_seconds() / 3600,
        "reaction": format_duration(level.reaction_time),
        "recovery": format_duration(level.recovery_time),
        "windows": [(hours.days, hours.start, hours.end) for hours in level.maintenance.windows],
        "announced": level.maintenance.announce_to_customer,
        "priority": level.high_availability.restart_priority,
        "package": level.service_package,
    }
    assert found == published


@pytest.mark.parametrize("name", PUBLISHED)
def test_faults_are_taken_in_around_the_clock(name):
    intake = LEVELS[name].fault_intake
    assert [(hours.days, hours.start, hours.end) for hours in intake.hours] == [(WEEK, "00:00", "00:00")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_all_times_are_local_to_berlin(name):
    assert {LEVELS[name].fault_intake.time_zone, LEVELS[name].maintenance.time_zone} == {"Europe/Berlin"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_level_without_windows_agrees_them_one_by_one(name):
    maintenance = LEVELS[name].maintenance
    assert maintenance.agreed_individually is (maintenance.windows == ())


@pytest.mark.parametrize("name", PUBLISHED)
def test_clause_5_2_restarts_after_120_seconds_without_io_and_three_times_at_most(name):
    availability = LEVELS[name].high_availability
    assert format_duration(availability.io_quiet_interval) == "2m"
    assert availability.maximum_restarts == 3


@pytest.mark.parametrize(
    "body", OURS + PRODUCTION, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}"
)
def test_what_ships_leaves_nothing_in_a_list_to_a_default(body):
    """A list is compared as a whole: kubectl and Argo CD would see a difference for ever, and apply it again each time."""
    schema = root_schema(crd_of(MODELS[body["kind"]]))
    assert left_to_a_default(body["spec"], schema["properties"]["spec"], "spec") == []


def test_the_production_overlay_has_prices_to_be_filled_in_before_anything_is_billed_by_them():
    (prices,) = [PriceList.of(body) for body in PRODUCTION if body["kind"] == "PriceList"]
    (example,) = [PriceList.of(body) for body in OURS if body["kind"] == "PriceList"]
    assert prices == example, "the example, in a file that a provider edits"


def test_there_is_an_example_price_list_whose_rates_are_dated():
    (prices,) = [PriceList.of(body) for body in OURS if body["kind"] == "PriceList"]
    assert prices.spec.rates
    assert all(rate.from_.tzinfo is not None for rate in prices.spec.rates)


def test_every_sample_customer_is_at_home_in_a_ledger_and_has_prices():
    samples = list(yaml.safe_load_all((MANIFESTS / "samples" / "customers.yaml").read_text()))
    ledgers = {
        body["metadata"]["name"]
        for body in samples
        if body["kind"] == "Namespace" and "managedvm.dev/ledger" in body["metadata"].get("labels", {})
    }
    customers = [Customer.of(body) for body in samples if body["kind"] == "Customer"]
    assert customers
    prices = {body["metadata"]["name"] for body in OURS if body["kind"] == "PriceList"}
    for one in customers:
        assert set(one.spec.namespaces) <= ledgers
        assert {agreed.name for agreed in one.spec.price_lists} <= prices
    people = [CustomerContacts.of(body) for body in samples if body["kind"] == "CustomerContacts"]
    assert {body.metadata.namespace for body in people} <= ledgers


@pytest.mark.parametrize("body", OURS, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_reading_and_writing_an_object_changes_nothing(body):
    model = MODELS[body["kind"]]
    once = model.of(body)
    assert model.of(once.to_json()) == once
    assert once.to_json() == model.of(once.to_json()).to_json()


@pytest.mark.parametrize("body", OURS, ids=lambda body: f"{body['kind']}-{body['metadata']['name']}")
def test_nothing_that_stands_in_an_object_is_lost_by_reading_it(body):
    assert _missing(body["spec"], MODELS[body["kind"]].of(body).to_json()["spec"]) == []


def _missing(said: Any, read: Any, path: str = "spec") -> list[str]:
    if isinstance(said, dict):
        return [
            lost
            for key, value in said.items()
            for lost in (_missing(value, read[key], f"{path}.{key}") if key in read else [f"{path}.{key}"])
        ]
    if isinstance(said, list):
        return [
            lost
            for n, (a, b) in enumerate(zip(said, read, strict=True))
            for lost in _missing(a, b, f"{path}[{n}]")
        ]
    return []
