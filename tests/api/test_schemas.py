"""The CRDs as data: current, described, bounded, and in the words that apiextensions/v1 knows."""

from pathlib import Path

import pytest

from managedvm.api import crds
from managedvm.api.base import ApiModel
from managedvm.api.kinds import KINDS
from tests.api.schemas import Field, at, fields, root_schema

CRDS = Path(__file__).parents[2] / "crds"
FIELDS = fields()
KEYWORDS = {
    *("type", "description", "default", "enum", "format", "pattern", "required"),
    *("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "maxProperties"),
    *("properties", "items", "additionalProperties"),
    *(
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-map-type",
        "x-kubernetes-validations",
    ),
}
TAKEN = {
    "Kubernetes": "cm cj crd crs cs csr deploy ds ep ev hpa ing limits netpol no ns pc pdb po pv pvc quota rc rs sa sc sts svc",
    "cert-manager": "cert certs cr crs issuer clusterissuer order challenge",
    "Velero": "bsl vsl backup restore schedule",
    "K8up": "schedule backup restore archive check prune snapshot prebackuppod",
    "KubeVirt": "vm vms vmi vmis vmim vmims",
    "VM Operator": "vm vmclass vmi vmimage vmservice",
    "Argo CD": "app apps appset appsets appproj appprojs",
    "Prometheus Operator": "am amcfg pmon prb prom promagent promrule scfg smon thanosrule",
}


def test_the_files_say_what_the_models_say():
    assert crds.stale(CRDS) == []


def test_a_stale_a_missing_and_a_foreign_file_are_noticed(tmp_path):
    assert crds.write(tmp_path) == sorted(crds.rendered())
    assert crds.write(tmp_path) == []
    (tmp_path / "managedvms.yaml").write_text("# edited\n")
    (tmp_path / "customers.yaml").unlink()
    (tmp_path / "others.yaml").write_text("")
    assert crds.stale(tmp_path) == ["customers.yaml", "managedvms.yaml", "others.yaml"]
    assert crds.write(tmp_path) == ["customers.yaml", "managedvms.yaml", "others.yaml"]
    assert crds.stale(tmp_path) == []


def failing(holds):
    """Return the paths of the fields for which something does not hold."""
    return [field.path for field in FIELDS if not holds(field)]


def test_there_are_fields_to_check():
    assert len(FIELDS) > 200


def test_every_field_is_described_in_a_sentence():
    def described(field: Field) -> bool:
        text = field.schema.get("description", "")
        return not field.is_named or (text[:1].isupper() and text.endswith("."))

    assert failing(described) == []


def test_every_field_has_a_bound():
    def bounded(field: Field) -> bool:
        said = field.schema.keys()
        match field.schema["type"]:
            case "string":
                return "maxLength" in said or "enum" in said
            case "integer":
                return {"minimum", "maximum"} <= said
            case "array":
                return {"maxItems", "x-kubernetes-list-type"} <= said
            case "object":
                return "properties" in said or "maxProperties" in said
            case other:
                return other == "boolean"

    assert failing(bounded) == []


def test_every_word_of_a_schema_is_one_that_the_api_server_knows():
    assert failing(lambda field: field.schema.keys() <= KEYWORDS) == []


def test_no_default_is_null_and_no_map_is_open():
    assert failing(lambda field: field.schema.get("default", "something") is not None) == []
    assert failing(lambda field: field.schema.get("additionalProperties") is not True) == []


def test_every_rule_of_a_field_names_its_clause():
    def named(field: Field) -> bool:
        rules = field.schema.get("x-kubernetes-validations", [])
        return all("clause" in rule["message"] for rule in rules)

    assert failing(named) == []
    assert any("x-kubernetes-validations" in field.schema for field in FIELDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_every_rule_of_a_kind_names_field_and_clause(kind):
    for rule in root_schema(crds.crd_of(kind)).get("x-kubernetes-validations", []):
        assert rule["message"].startswith(("spec", "metadata"))
        assert "clause" in rule["message"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_every_kind_shows_at_most_seven_columns_and_is_in_one_category(kind):
    shown = [column for column in kind.KIND.columns if not column.wide]
    assert 1 <= len(shown) <= 7
    assert kind.KIND.categories in {("msp",), ("msp-records",)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.KIND.kind)
def test_every_column_and_selectable_field_is_there(kind):
    root = root_schema(crds.crd_of(kind))
    assert len(kind.KIND.selectable) <= 8
    for path in kind.KIND.selectable:
        assert at(root, path)["type"] in {"string", "integer", "boolean"}
    for column in kind.KIND.columns:
        plain = column.path.split("[")[0]
        if plain.startswith(".."):  # wherever it is: in the spec or in the status
            assert at(root, f".spec{plain[1:]}")
            assert at(root, f".status{plain[1:]}")
        elif not plain.startswith(".metadata"):
            assert at(root, plain)


def test_no_two_kinds_share_a_name():
    owner: dict[str, str] = {}
    for kind in KINDS:
        declared = kind.KIND
        for name in {declared.plural, declared.singular, declared.short}:
            assert owner.setdefault(name, declared.kind) == declared.kind


@pytest.mark.parametrize("neighbour", TAKEN)
def test_no_short_name_is_taken_by_a_neighbour(neighbour):
    assert {kind.KIND.short for kind in KINDS} & set(TAKEN[neighbour].split()) == set()


def test_a_kind_that_a_schema_cannot_say_is_an_error():
    class Either(ApiModel):
        value: int | str

    with pytest.raises(crds.UnrepresentableError, match="union"):
        crds.schema_of(Either)
