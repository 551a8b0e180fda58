"""The words of a statement in its languages, and how a language writes dates, times and money."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum, unique

from babel.dates import format_date as babel_date
from babel.dates import format_time as babel_time
from babel.numbers import format_currency, format_decimal

from managedvm.api.changerequest import Channel, RequestKind
from managedvm.planning.wallclock import wall_clock, zone_named

_MINUTE = 60


class Language(StrEnum):
    """A language that statements are written in."""

    DE = "de"
    EN = "en"


@unique
class Text(Enum):
    """A piece of text: German, English. `{}` is filled in."""

    STATEMENT = ("Abrechnung", "Statement")
    INVOICE = ("Rechnung", "Invoice")
    SUBTITLE = (
        "Managed Services nach Aufwand und im Paket enthaltene Leistungen",
        "Managed services billed by effort, and services included in the package",
    )
    NUMBER = ("Nummer", "Number")
    CUSTOMER_NUMBER = ("Kundennummer", "Customer no.")
    VAT_ID = ("Ihre USt-IdNr.", "Your VAT ID")
    PERIOD = ("Leistungszeitraum", "Period")
    DATE = ("Datum", "Date")
    TIMES_IN = ("Zeiten in", "Times in")
    POSITION = ("Nr.", "No.")
    SERVICE = ("Leistung", "Service")
    TIME = ("Zeit", "Time")
    RATE = ("Stundensatz", "Hourly rate")
    AMOUNT = ("Betrag", "Amount")
    BY_EFFORT = ("Nach Aufwand", "Billed by effort")
    INCLUDED = ("Im Paket enthalten", "Included in the package")
    NO_LINES = ("In diesem Monat wurde nichts gearbeitet.", "No work was done in this month.")
    NET = ("Summe netto", "Net total")
    VAT = ("Umsatzsteuer {} %", "VAT {} %")
    VAT_ON = ("{} auf {}", "{} on {}")
    GROSS = ("Gesamtbetrag", "Total")
    CREDIT = ("Gutschrift", "Credit")
    COUNTED = ("abgerechnete Zeit", "time billed")
    CLAUSE = ("Ziff. {}", "clause {}")
    ORDERED = ("beauftragt von {} {}", "ordered by {} {}")
    TICKET = ("Ticket {}", "ticket {}")
    DONE_BY = ("ausgeführt von {}", "done by {}")
    AUTOMATED = ("automatisch ausgeführt", "done automatically")
    REVERSES = ("Storno zu {}", "takes back {}")
    PENDING = ("Noch nicht abgerechnet", "Not billed yet")
    PENDING_WHY = (
        "Diese Arbeiten sind noch nicht anerkannt und in keiner Summe enthalten:",
        "This work is not accepted yet and in none of the sums:",
    )
    PAY_BY = (
        "Bitte überweisen Sie den Gesamtbetrag bis zum {} auf das Konto {}.",
        "Please transfer the total by {} to the account {}.",
    )
    CONTACT = ("Ansprechpartner", "Contact")
    SEAL = (
        (
            "Dieser Monat ist abgeschlossen. Die Prüfsumme umfasst jede Position, die {} zugrunde liegenden Aufzeichnungen und "
            "den vorhergehenden Monat: Wer eine Ausfertigung mit dieser Prüfsumme hat, kann jede spätere Änderung nachweisen."
        ),
        (
            "This month is closed. The checksum covers every line, the {} records that they rest on and the month before: "
            "whoever holds a copy with this checksum can prove any later change."
        ),
    )
    CHECKSUM = ("Prüfsumme (SHA-256)", "Checksum (SHA-256)")
    AVAILABILITY = ("Verfügbarkeit", "Availability")
    AVAILABLE = (
        "{} von {} %: {} Ausfall gezählt, {} nicht gezählt, {} nicht gemessen",
        "{} of {} %: {} of downtime counted, {} not counted, {} not measured",
    )
    NOT_KNOWN = ("nicht bekannt", "not known")
    FAULTS = ("Störungen", "Faults")
    MENDED = ("behoben {}, zugesagt bis {}", "mended {}, due by {}")
    NOT_MENDED = ("nicht behoben, zugesagt bis {}", "not mended, due by {}")
    TOO_LATE = ("zu spät", "too late")
    PAGE = ("Seite {} von {}", "Page {} of {}")

    def in_(self, language: Language, *values: object) -> str:
        """Return the text in a language, with `values` filled in."""
        german, english = self.value
        return str(german if language is Language.DE else english).format(*values)


_KINDS: dict[RequestKind, tuple[str, str]] = {
    RequestKind.SUPPORT_QUESTION: ("Supportanfrage", "Support question"),
    RequestKind.FAULT_REPORT: ("Störungsmeldung", "Fault report"),
    RequestKind.CONFIGURATION_CHANGE: ("Konfigurationsänderung", "Change of configuration"),
    RequestKind.UPDATE_ORDER: ("Update-Auftrag", "Update order"),
    RequestKind.UPDATE_APPOINTMENT: ("Update nach Absprache", "Update by appointment"),
    RequestKind.DDOS_MITIGATION: ("DDoS-Abwehr", "DDoS mitigation"),
    RequestKind.SECURITY_CHECK: ("Sicherheitsprüfung", "Security check"),
    RequestKind.MALWARE_REMOVAL: ("Malware-Bereinigung", "Malware removal"),
    RequestKind.SOFTWARE_INSTALLATION: ("Softwareinstallation", "Software installation"),
    RequestKind.CAPACITY_ADVICE: ("Kapazitätsempfehlung", "Capacity advice"),
    RequestKind.CLEAN_UP: ("Aufräumarbeiten", "Clean-up"),
    RequestKind.SUITABILITY_REVIEW: ("Eignungsprüfung", "Suitability review"),
    RequestKind.RESTORE: ("Wiederherstellung", "Restore"),
}

_CHANNELS: dict[Channel, tuple[str, str]] = {
    Channel.GIT: ("über Git", "through Git"),
    Channel.HELPDESK: ("über das Helpdesk", "through the helpdesk"),
    Channel.EMAIL: ("per E-Mail", "by e-mail"),
    Channel.PHONE: ("per Telefon", "by telephone"),
}

_LOCALES = {Language.DE: "de_DE", Language.EN: "en_GB"}


def kind_of(kind: str, language: Language) -> str:
    """Return the name of a kind of request; a kind that this version does not know stays as it is."""
    known = _KINDS.get(RequestKind(kind)) if kind in set(RequestKind) else None
    return known[language is Language.EN] if known else kind


def through(channel: Channel, language: Language) -> str:
    """Return how an order arrived, as an adverb: `by e-mail`."""
    return _CHANNELS[channel][language is Language.EN]


def money(amount: str, currency: str, language: Language) -> str:
    """Return a decimal string as money with its symbol, and a minus as wide as a digit."""
    return format_currency(Decimal(amount), currency, locale=_LOCALES[language]).replace("-", "−")


def percent(number: str, language: Language) -> str:
    """Return a decimal string as a number without needless zeros: `19`, `7,7`."""
    return format_decimal(Decimal(number), locale=_LOCALES[language])


def share(number: str, language: Language) -> str:
    """Return a share in percent with all its digits: `99.9799` shown as 99.98 would be a promise kept that was not."""
    return format_decimal(Decimal(number), format="0.00##", locale=_LOCALES[language])


def month_name(month: str, language: Language) -> str:
    """Return `2026-11` as `November 2026`."""
    first = datetime(int(month[:4]), int(month[5:]), 1)  # noqa: DTZ001 - a month has no instant
    return babel_date(first, "MMMM yyyy", locale=_LOCALES[language])


def day(instant: datetime, zone: str, language: Language) -> str:
    """Return the date of an instant in a zone: `06.11.2026`."""
    return babel_date(
        wall_clock(instant, zone_named(zone)),
        "dd.MM.yyyy" if language is Language.DE else "d MMM yyyy",
        locale=_LOCALES[language],
    )


def clock(instant: datetime, zone: str, language: Language) -> str:
    """Return the time of an instant in a zone: `09:45`; with seconds where it has some."""
    wall = wall_clock(instant, zone_named(zone))
    return babel_time(wall, "HH:mm:ss" if wall.second else "HH:mm", locale=_LOCALES[language])


def span(begin: datetime, end: datetime, zone: str, language: Language) -> str:
    """Return from when to when, with the second date only where it is another one."""
    first, last = day(begin, zone, language), day(end, zone, language)
    until = clock(end, zone, language) if last == first else f"{last} {clock(end, zone, language)}"
    start = f"{first} {clock(begin, zone, language)}"
    return start if begin == end else f"{start}–{until}"


def hours(time: timedelta) -> str:
    """Return a length of time as `0:45`, with seconds where it has some, and a minus where it is taken back."""
    seconds = abs(int(time.total_seconds()))
    minutes, rest = divmod(seconds, _MINUTE)
    text = f"{minutes // _MINUTE}:{minutes % _MINUTE:02}" + (f":{rest:02}" if rest else "")
    return f"−{text}" if time < timedelta() else text
