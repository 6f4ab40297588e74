"""Settings, typed from the environment. No side effects: what is wrong here is a system check with a hint, not a crash.

`PATCHFLOW_MODE` is `development` (default: everything embedded, on this computer) or `production` (URLs required,
development secrets refused). Any value may be given as `NAME` or, from a file, as `NAME_FILE`.
"""

from patchflow.settings.base import *  # noqa: F403
from patchflow.settings.logging import LOGGING as LOGGING
from patchflow.settings.security import *  # noqa: F403
