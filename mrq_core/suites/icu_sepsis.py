"""ICU-Sepsis, a table of 716 states and 25 treatments.

Its package imports the old gym beside Gymnasium, which prints that nobody maintains it.
"""

import contextlib
import io

with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
    import icu_sepsis  # noqa: F401  (registers it)
