"""Real prices in a package of somebody else, found by their path: the package is not imported."""

from importlib.metadata import distribution
from pathlib import Path

# 2,335 days of Alphabet's share.
GOOGL = "gym_anytrading/datasets/data/STOCKS_GOOGL.csv"
# 6,225 hours of a currency; its dates are 01.01.2017, which is no ISO.
EURUSD = "gym_anytrading/datasets/data/FOREX_EURUSD_1H_ASK.csv"


def real_prices(name: str = GOOGL) -> Path:
    return Path(str(distribution("gym-anytrading").locate_file(name)))
