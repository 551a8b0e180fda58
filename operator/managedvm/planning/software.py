"""Where software may come from (clause 6.2): .deb and .rpm packages of freely accessible repositories; nothing is compiled."""

from managedvm.api.changerequest import RequestedSoftware, SoftwareSource


def objection(software: RequestedSoftware) -> str | None:
    """Return why this software is not installed, in words, or None where it may be.

    The API server has refused it from a person already; a helpdesk hands on what it was told.
    """
    match software.source:
        case SoftwareSource.ARCHIVE:
            return f"{software.name} comes as an archive"
        case SoftwareSource.SOURCE_CODE:
            return f"{software.name} would have to be compiled"
        case SoftwareSource.REPOSITORY:
            pass
    if software.format is None:
        return f"nobody says whether {software.name} is a .deb or an .rpm package"
    if software.repository is None:
        return f"nobody says which repository {software.name} is in"
    if not software.is_freely_accessible:
        return f"the repository of {software.name} is not freely accessible"
    return None
