"""The scripts of a guest on this machine, with directories of a test in the place of the guest's."""

from managedvm.world.guests import job

_scripts = job._script


def on_this_machine(name, directory):
    """Return a script that keeps its records below `directory`."""
    replaced = {
        "/var/lib/managedvm": str(directory / "state"),
        "/run/managedvm": str(directory / "volatile"),
        "/run/systemd/system": str(directory / "no-systemd"),
        "-ge 50 ]": "-ge 2 ]",  # the patience with an output that somebody keeps open
    }
    text = _scripts(name)
    for there, here in replaced.items():
        text = text.replace(there, here)
    return text
