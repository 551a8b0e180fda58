"""Every promise that the README says is kept is tried, with what must not happen, on the running operator."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text()

PROMISES = {
    "at most one package per VM": (
        "test_a_vm_is_claimed_by_its_identity",
        "test_a_second_managed_vm_for_a_vm_is_a_conflict_and_does_nothing",
        "test_a_claim_is_released_with_its_managed_vm_and_taken_by_the_next",
    ),
    "a package serves its own VM only": (
        "test_a_vm_outside_the_granted_folders_is_not_touched",
        "test_a_path_that_means_another_vm_now_freezes_everything",
        "test_a_request_for_another_vm_than_the_package_is_for_is_refused",
    ),
    "Professional and Premium need a package": (
        "test_a_level_that_needs_a_package_is_refused_without_one",
        "test_a_level_that_becomes_mandatory_later_shows_a_missing_package",
    ),
    "what is done is what was ordered": (
        "test_an_order_in_force_is_carried_out",
        "test_before_its_order_starts_nothing_is_done_for_a_vm",
        "test_after_its_order_has_ended_nothing_is_done_for_a_vm",
    ),
    "the availability of the service level is proved": (
        "test_a_vm_that_is_switched_off_is_one_outage_with_its_begin_and_end_and_who",
        "test_downtime_in_a_window_of_the_contract_does_not_count",
        "test_an_outage_that_came_and_went_while_no_operator_ran_is_read_from_vcenters_history",
        "test_an_operator_that_was_away_for_long_says_so_once_for_all_vms_of_a_customer",
        "test_no_switch_hides_an_outage",
        "test_nobody_but_the_operator_says_that_a_vm_was_down",
    ),
    "two packages": (
        "test_what_a_package_includes_is_in_status_clause_by_clause",
        "test_a_vm_without_a_package_gets_high_availability_and_nothing_else",
    ),
    "services on request need an active package": (
        "test_a_request_without_an_active_package_is_recorded_as_refused",
        "test_without_a_package_an_order_is_refused_and_a_booked_one_lets_it_through",
        "test_a_fault_is_taken_in_without_a_package_and_a_question_is_refused",
    ),
    "a request is the order": (
        "test_a_request_is_documented_as_an_order_with_clause_and_billing",
        "test_every_kind_can_be_asked_for",
    ),
    "the customer controls who orders": (
        "test_an_order_of_somebody_who_is_not_listed_is_documented_and_held",
        "test_who_may_not_order_any_more_is_held",
        "test_a_stranger_is_held_until_somebody_on_the_list_releases_the_request",
        "test_an_order_of_the_yaml_that_is_held_is_carried_out_once_it_is_released",
        "test_without_a_list_the_word_of_a_customer_releases_nothing_and_that_of_staff_does",
        "test_a_scope_holds_what_it_does_not_name",
        "TestNobodyOrdered",
    ),
    "each request is documented": (
        "test_the_intent_is_on_record_before_the_act_and_the_work_after_it",
        "test_a_record_never_changes_not_even_for_an_administrator",
        "test_a_record_is_not_deleted_without_the_verb_prune",
        "test_the_account_changes_no_record_and_no_wish",
    ),
    "every channel is documented in the helpdesk": (
        "test_a_ticket_is_one_request_however_often_and_in_whatever_order_it_is_told_of",
        "test_a_ticket_without_a_vm_is_noted_once_and_taken_in_when_it_names_one",
        "test_what_a_person_enters_has_a_ticket_before_its_work_is_billed",
        "test_a_change_that_is_typed_in_git_gets_one_ticket",
        "test_a_kill_at_any_call_to_the_helpdesk_doubles_nothing_and_loses_nothing",
        "test_an_outage_is_told_and_over_it_nothing_is_lost_or_doubled",
        "test_nobody_else_writes_in_the_name_of_the_helpdesk",
    ),
    "faults are reacted to as the service level says": (
        "test_a_missed_reaction_is_seen_and_one_in_time_is_none",
        "test_the_deadline_of_a_reaction_stands",
    ),
    "support with setup and operation": (
        "test_a_question_is_worked_on_by_people_and_nothing_is_done_to_the_vm",
        "test_work_moves_a_request_into_work_and_staff_closes_it",
    ),
    "changes are billed by the hourly rate valid at the time": (
        "test_work_is_billed_by_the_rate_that_is_valid_when_it_is_done",
        "test_cpus_memory_and_a_disk_grow_while_the_vm_runs_and_their_task_is_billed_once",
        "test_without_a_price_the_order_is_documented_and_the_work_waits",
        "test_a_rate_does_not_begin_in_the_past",
        "test_a_customer_gets_another_price_list_from_now_on",
    ),
    "effort is billed by the time actually spent": (
        "test_work_is_priced_by_the_quarter_of_an_hour_that_was_begun",
        "test_work_at_night_has_the_surcharge_of_the_night",
        "test_another_price_list_prices_what_begins_under_it_and_nothing_before",
        "TestOneThingAtATime",
        "TestNobodyOrdered",
        "test_work_is_recorded_listed_taken_back_and_recorded_anew",
    ),
    "billed by effort, month by month": (
        "test_a_month_is_closed_shown_handed_out_verified_and_explained_by_command",
        "test_a_closed_month_takes_no_more_work_and_the_next_one_does",
        "test_a_close_that_died_at_any_write_is_finished_by_the_next",
        "test_who_prunes_without_an_archive_is_found_out",
        "test_a_chain_that_was_pruned_whole_is_not_begun_anew",
        "test_a_namespace_that_became_another_customers_is_not_billed_again",
    ),
    "disturbing work only in maintenance windows": (
        "test_a_change_that_needs_a_power_cycle_waits_for_its_window_and_says_when",
        "test_in_an_open_window_the_guest_is_asked_the_vm_changed_and_started_again",
        "test_a_guest_that_does_not_shut_down_is_asked_and_left_running",
    ),
    "all VMs are watched by vSphere HA": (
        "test_high_availability_follows_the_level_with_or_without_a_package",
        "test_drift_of_a_setting_is_repaired",
        "test_in_observe_drift_is_told_and_nothing_is_done",
        "test_cluster_settings_are_only_repaired_where_the_provider_allows_it",
    ),
    "at most three restarts in a row": (
        "test_the_third_restart_in_a_row_is_told_though_the_vm_has_moved_and_the_operator_was_restarted",
        "test_a_streak_ends_after_the_green_time_of_the_level_and_only_when_it_was_green",
    ),
    "what the customer caused is billed in any case": (
        "test_a_request_is_documented_as_an_order_with_clause_and_billing",
        "test_a_cause_that_the_work_finds_is_billed_by_its_own_clause",
    ),
    "software from standard sources only": (
        "test_software_from_elsewhere_than_a_free_repository_is_refused",
        "test_software_from_elsewhere_that_was_documented_all_the_same_is_refused",
        "test_individual_software_is_an_order_that_is_billed_also_for_a_vm_that_is_just_provisioned",
    ),
    "capacity is not managed": (
        "test_a_size_that_somebody_has_changed_is_told_and_neither_undone_nor_billed",
        "test_a_request_is_documented_as_an_order_with_clause_and_billing",
    ),
    "suitability is not reviewed": (
        "test_a_request_is_documented_as_an_order_with_clause_and_billing",
        "test_nothing_that_is_said_about_a_vm_judges_whether_it_suits",
    ),
}


def kept():
    """Return the promises that the README says are kept today."""
    table = README.partition("## What is kept today")[2].partition("Not yet:")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ")]
    return [row[2].strip() for row in rows[1:]]


def lab_tests():
    """Return the names of all tests in files that need the lab."""
    for path in TESTS.rglob("test_*.py"):
        text = path.read_text()
        if "pytest.mark.lab" in text:
            yield from (node.name for node in ast.parse(text).body if hasattr(node, "name"))


def test_every_promise_of_the_readme_has_its_tests():
    assert kept() == list(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_the_tests_of_a_promise_are_there(promise):
    assert set(PROMISES[promise]) - set(lab_tests()) == set()
