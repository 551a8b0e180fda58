"""The clauses of the contract that decisions cite, each with its number and a sentence for a person."""

from enum import Enum


class Clause(Enum):
    """A clause: its number in the contract, and what it says in our words."""

    ONE_PACKAGE_PER_VM = ("1", "Each VM has at most one managed service package.")
    DIRECTLY_ATTACHED_VM = ("1", "A package serves only the VM that it was booked for.")
    PACKAGE_MANDATORY = ("1", "Professional and Premium VMs need a managed service package.")
    AS_ORDERED = ("1", "What is done is what the single order names, while it is in force.")
    AVAILABILITY = (
        "1",
        "The service level promises an availability over the year; downtime in announced windows does not count.",
    )
    VARIANTS = ("2", "There are two packages, Basic and Advanced.")
    PROVISIONING = (
        "3.1",
        "Set-up of operating system, middleware, network, certificates and backup is included.",
    )
    OPERATION = ("3.2", "Monitoring, alarms, certificates, backup and updates on order are included.")
    ADVANCED_OPERATION = ("3.3", "Advanced adds active patch management and automatic updates.")
    OPTIONAL_SERVICES = (
        "4",
        "With an active package further services are done on request, billed by effort.",
    )
    AUTHORISED_REQUESTERS = ("4", "The customer names who may order and so limits the circle.")
    DOCUMENTED = ("4", "Each request is documented, through whatever channel it came.")
    SUPPORT = ("4.1", "Support with setup and operation is given on request, billed by effort.")
    FAULT_INTAKE = ("4.1", "Faults are taken in and reacted to as the service level says.")
    CHANGE_ON_REQUEST = ("4.2", "Changes of configuration can be ordered.")
    MAINTENANCE_WINDOW = ("5.1", "Work that disturbs a VM is done in a maintenance window.")
    UPDATE_ON_ORDER = ("5.1", "Updates are installed on order, in the next possible maintenance window.")
    UPDATE_BY_APPOINTMENT = ("5.1", "An update outside of the windows needs an appointment.")
    HIGH_AVAILABILITY = (
        "5.2",
        "All VMs are watched by vSphere HA and restarted at most three times in a row.",
    )
    PRECAUTION = ("5.2", "Precautionary action needs a package and active alarms.")
    CUSTOMER_CAUSED = (
        "6.1",
        "Faults the customer caused, attacks, security checks and malware are billed in any case.",
    )
    STANDARD_SOURCES = (
        "6.2",
        "Software comes as .rpm or .deb from freely accessible repositories; nothing is compiled.",
    )
    USER_SOFTWARE = (
        "6.2",
        "Installing individual software is billed in any case, also at first provisioning.",
    )
    CHANGE_BY_EFFORT = ("6.3", "After the initial configuration each change is billed by effort.")
    INITIAL_CONFIGURATION = ("6.3", "The initial configuration is included.")
    CAPACITY = ("6.4", "Managing capacity is not included; growing a VM needs an order.")
    SUITABILITY = ("6.5", "Whether what was ordered suits a purpose is not reviewed unless that is ordered.")

    def __init__(self, number: str, sentence: str) -> None:
        self.number = number
        self.sentence = sentence

    def __str__(self) -> str:
        return f"clause {self.number}"

    def __repr__(self) -> str:
        return f"<{self}>"
