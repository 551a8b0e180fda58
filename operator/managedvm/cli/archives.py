"""The archives that a command is given, for months whose records are not in the cluster any more."""

from pathlib import Path
from typing import Annotated

import typer

from managedvm.cli.connection import fail
from managedvm.planning.verification import Ledger
from managedvm.statements.archive import NotAnArchiveError, merged, read_archive

Archives = Annotated[
    list[Path] | None,
    typer.Option(
        "--archive", help="An archive of pruned months; may be repeated.", exists=True, dir_okay=False
    ),
]


def held_in(archives: list[Path] | None) -> Ledger:
    """Return what the archives hold together; says what is wrong with one and exits with 1."""
    found = []
    for path in archives or ():
        try:
            found.append(read_archive(path.read_bytes()))
        except NotAnArchiveError as error:
            fail(f"{path}: {error}.")
    return merged(found)
