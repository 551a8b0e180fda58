"""The list of all kinds that the operator serves: the one place that names them all."""

from managedvm.api.base import Resource
from managedvm.api.changerequest import ChangeRequest
from managedvm.api.customer import Customer
from managedvm.api.customercontacts import CustomerContacts
from managedvm.api.helpdesk import Helpdesk
from managedvm.api.managedvm import ManagedVM
from managedvm.api.outage import Outage
from managedvm.api.pricelist import PriceList
from managedvm.api.requestdecision import RequestDecision
from managedvm.api.servicelevel import ServiceLevel
from managedvm.api.statement import Statement
from managedvm.api.vcenter import VCenter
from managedvm.api.vmclaim import VMClaim
from managedvm.api.workentry import WorkEntry

KINDS: tuple[type[Resource], ...] = (
    ManagedVM,
    Customer,
    CustomerContacts,
    ServiceLevel,
    PriceList,
    VCenter,
    Helpdesk,
    VMClaim,
    ChangeRequest,
    RequestDecision,
    WorkEntry,
    Statement,
    Outage,
)

UNWATCHED = frozenset({Statement.KIND.kind})
"""What the operator does not watch: closed months are large, and nothing that it does follows from them."""
