"""The entry point, and the only reader of the environment."""

import os

from managedvm.cli import app
from managedvm.settings import Settings

PREFIX = "MANAGEDVM_"


def settings() -> Settings:
    """Return the settings that the environment holds; raises pydantic's ValidationError naming what is wrong."""
    given = {name: os.environ.get(f"{PREFIX}{name.upper()}") for name in Settings.model_fields}
    return Settings.model_validate({name: value for name, value in given.items() if value is not None})


def main() -> None:
    """Run the command line."""
    app(obj=settings)


if __name__ == "__main__":
    main()
