"""The package gate (clauses 1 and 2): which order is in force, and what it includes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from managedvm.api.managedvm import OrderInForce, ServiceInForce
from managedvm.api.order import Order, ServicePackage
from managedvm.api.servicelevel import PackageRequirement, ServiceLevelSpec
from managedvm.planning.clauses import Clause
from managedvm.planning.findings import Aspect, Finding, fails, holds
from managedvm.planning.plan import earliest
from managedvm.planning.reasons import Reason
from managedvm.planning.wallclock import shown as shown_time


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What the contract gives this VM now.

    `level` is None when nothing is in force or the level is unknown: then nothing at all is done. `package` is None
    when no package is active: then only vSphere HA follows the level.
    """

    order: Order | None
    next_order: Order | None
    level: ServiceLevelSpec | None
    package: ServicePackage | None
    findings: tuple[Finding, ...]
    next_check: datetime | None


def order_in_force(orders: tuple[Order, ...], now: datetime) -> Order | None:
    """Return the order that is valid at `now`; `from` belongs to it, `until` does not any more."""
    return next((o for o in orders if o.from_ <= now and (o.until is None or now < o.until)), None)


def next_order(orders: tuple[Order, ...], now: datetime) -> Order | None:
    """Return the order that starts next after `now`."""
    return min((o for o in orders if now < o.from_), key=lambda o: o.from_, default=None)


def entitle(
    orders: tuple[Order, ...], level_named: Callable[[str], ServiceLevelSpec | None], now: datetime
) -> Entitlement:
    """Return what the orders give at `now`. `level_named` looks a ServiceLevel up."""
    current, following = order_in_force(orders, now), next_order(orders, now)
    turn = earliest((current.until if current else None, following.from_ if following else None))
    if current is None:
        return Entitlement(None, following, None, None, (_not_in_force(orders, following),), turn)
    level = level_named(current.service_level)
    if level is None:
        finding = fails(
            Aspect.ORDER_IN_FORCE,
            Reason.SERVICE_LEVEL_UNKNOWN,
            f"Order {current.reference} names service level {current.service_level!r}, which does not exist; nothing "
            "is done. Create that ServiceLevel, or end the order and add one with an existing level",
            Clause.AS_ORDERED,
        )
        return Entitlement(current, following, None, None, (finding,), turn)
    package = current.service_package
    in_force = holds(
        Aspect.ORDER_IN_FORCE,
        Reason.IN_FORCE,
        f"Order {current.reference}: service level {level.display_name}, {_package_words(package)}",
        Clause.AS_ORDERED,
    )
    return Entitlement(current, following, level, package, (in_force, _package(current, level)), turn)


def _not_in_force(orders: tuple[Order, ...], following: Order | None) -> Finding:
    if following is not None:
        return fails(
            Aspect.ORDER_IN_FORCE,
            Reason.NOT_YET_IN_FORCE,
            f"Order {following.reference} starts at {shown_time(following.from_)}; nothing is done before",
            Clause.AS_ORDERED,
        )
    last = max(orders, key=lambda o: o.from_)
    ended = f" at {shown_time(last.until)}" if last.until else ""
    return fails(
        Aspect.ORDER_IN_FORCE,
        Reason.ORDER_ENDED,
        f"Order {last.reference} ended{ended}; nothing is done any more. Add an order to spec.orders, or remove the "
        "ManagedVM",
        Clause.AS_ORDERED,
    )


def _package(order: Order, level: ServiceLevelSpec) -> Finding:
    if order.service_package is not None:
        return holds(
            Aspect.SERVICE_PACKAGE_ACTIVE,
            Reason.PACKAGE_ACTIVE,
            f"Managed service package {order.service_package} is active",
            Clause.VARIANTS,
        )
    if level.service_package is PackageRequirement.MANDATORY:
        return fails(
            Aspect.SERVICE_PACKAGE_ACTIVE,
            Reason.PACKAGE_MISSING,
            f"Service level {level.display_name} needs a managed service package and order {order.reference} has none; "
            "only vSphere HA is kept. End the order and add one with servicePackage Basic or Advanced",
            Clause.PACKAGE_MANDATORY,
        )
    return fails(
        Aspect.SERVICE_PACKAGE_ACTIVE,
        Reason.NO_PACKAGE_BOOKED,
        "No managed service package is booked; only vSphere HA follows the service level",
        Clause.AS_ORDERED,
    )


def _package_words(package: ServicePackage | None) -> str:
    return f"package {package}" if package else "no package"


def services(entitlement: Entitlement) -> tuple[ServiceInForce, ...]:
    """Return the services of the contract in the order of its clauses, and whether each is included now."""
    return _services(entitlement.package, level=entitlement.level is not None)


@lru_cache
def _services(booked: ServicePackage | None, *, level: bool) -> tuple[ServiceInForce, ...]:
    package, advanced = booked is not None, booked is ServicePackage.ADVANCED
    included = (
        ("Provisioning", Clause.PROVISIONING, package),
        ("Operation", Clause.OPERATION, package),
        ("PatchManagement", Clause.ADVANCED_OPERATION, advanced),
        ("ServicesOnRequest", Clause.OPTIONAL_SERVICES, package),
        ("UpdatesOnOrder", Clause.MAINTENANCE_WINDOW, package),
        ("HighAvailability", Clause.HIGH_AVAILABILITY, level),
        ("PrecautionaryAction", Clause.PRECAUTION, package),
    )
    return tuple(ServiceInForce(name=n, clause=clause.number, included=flag) for n, clause, flag in included)


def shown(order: Order | None) -> OrderInForce | None:
    """Return an order as status shows it."""
    return None if order is None else OrderInForce.model_validate(order.model_dump())
