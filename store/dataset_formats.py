"""In which formats a dataset is taken, and what of this machine each one needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec

from store.errors import FormatNotInstalled, InvalidInput
from store.extras import install_command


@dataclass(frozen=True, kw_only=True)
class Format:
    """`module`: of the library that reads it, which the extra of the same name as the format
    installs. `roles`: of the datasets that may come in it."""

    name: str
    title: str
    media_type: str
    roles: tuple[str, ...] = ("timeseries", "transitions")
    module: str | None = None


CSV = Format(name="csv", title="CSV", media_type="text/csv")
_ALL = (
    CSV,
    Format(
        name="parquet",
        title="Parquet",
        media_type="application/vnd.apache.parquet",
        module="pyarrow",
    ),
    Format(name="npz", title="NPZ", media_type="application/x-npz", roles=("transitions",)),
    Format(
        name="minari",
        title="Minari's HDF5",
        media_type="application/x-hdf5",
        roles=("transitions",),
        module="h5py",
    ),
)
FORMATS: Mapping[str, Format] = {each.media_type: each for each in _ALL}


def require_taken(kind: Format, role: str) -> None:
    """`InvalidInput` if no dataset of the role comes in it, or this server cannot read it."""
    if role not in kind.roles:
        others = " or ".join(each.title for each in _ALL if role in each.roles)
        raise InvalidInput(
            f"role={role!r}: {kind.title} holds {kind.roles[0]} alone; send a {role} as {others}.",
            param="role",
        )
    if kind.module is not None and find_spec(kind.module) is None:
        raise FormatNotInstalled(
            f"{kind.title} needs the extra {kind.name!r}, which this server does not have: "
            f"{install_command(kind.name)}. CSV needs none.",
            param="Content-Type",
            extra=kind.name,
            install=install_command(kind.name),
        )
