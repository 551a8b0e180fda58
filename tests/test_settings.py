"""What the operator can be told, and what it refuses to be told."""

from typer.testing import CliRunner

from managedvm.cli import app
from managedvm.settings import Settings


def run(**settings):
    """Return what the command says that is given these settings, which must not be good enough to run."""
    ended = CliRunner().invoke(app, ["run"], obj=lambda: Settings.model_validate(settings))
    assert ended.exit_code == 1
    return ended.output


def test_outside_of_the_namespace_that_the_policies_know_the_operator_refuses_to_run():
    said = run(namespace="hosting")
    assert "MANAGEDVM_NAMESPACE" in said
    assert "set no `namespace:` in your kustomization" in said


def test_each_bad_setting_is_named_as_it_is_typed():
    said = run(health_port="99999", relist_seconds="1")
    assert "MANAGEDVM_HEALTH_PORT: Input should be less than or equal to 65535" in said
    assert "MANAGEDVM_RELIST_SECONDS: Input should be greater than or equal to 10" in said
