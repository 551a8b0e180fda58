"""How many examples a property test tries: few in the fast loop, as many as it names in `make test`, more in the soak."""

import os

from hypothesis import HealthCheck, settings

_SHARE = float(os.environ.get("MANAGEDVM_EXAMPLES", "1"))
"""`MANAGEDVM_EXAMPLES=0.2` tries a fifth of them, `10` ten times as many."""

_FEWEST = 10


def examples(count: int) -> settings:
    """Return the settings of a property test that tries `count` examples, the same ones in each run."""
    wanted = max(_FEWEST, round(count * _SHARE))
    # How fast examples are made says something about the machine only.
    slow = [HealthCheck.too_slow]
    return settings(derandomize=True, deadline=None, max_examples=wanted, suppress_health_check=slow)
