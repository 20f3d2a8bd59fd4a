"""Whether those that train have what an environment or a baseline needs.

The server tells it at submission as far as it can know: from MRQ_WORKER_EXTRAS or, on a machine
that trains itself, from what is installed there. A worker that is given a job all the same ends
it.
"""

from store.baselines import LIBRARY
from store.catalogue.entry import EnvironmentEntry
from store.catalogue.own import missing_module
from store.errors import AlgorithmNotInstalled, EnvironmentNotInstalled
from store.extras import Extra, extras_of_workers, install_command, missing_modules
from store.settings import Settings
from store.spec import JobSpec


def workers_have(settings: Settings) -> frozenset[Extra] | None:
    """None: it is not known."""
    return extras_of_workers(settings.stated_extras)


def refuse_if_not_installed(spec: JobSpec, settings: Settings) -> None:
    entry = spec.environment.entry
    known = workers_have(settings)
    if known is not None and spec.algorithm.name in LIBRARY and "baselines" not in known:
        raise AlgorithmNotInstalled(
            f"algorithm.name={spec.algorithm.name!r} needs {_what_to_do('baselines')}; "
            "allowed without it: mrq, q_learning",
            param="algorithm.name",
            extra="baselines",
            install=install_command("baselines"),
        )
    if entry.extra is None or known is None or entry.extra in known:
        return
    raise EnvironmentNotInstalled(
        f"environment.id={entry.id!r} needs {_what_to_do(entry.extra)}",
        param="environment.id",
        extra=entry.extra,
        install=install_command(entry.extra),
    )


def is_installed(entry: EnvironmentEntry, known: frozenset[Extra] | None) -> bool | None:
    """`known` is what workers have. None: it cannot be told, as always of own environments."""
    return None if known is None or entry.extra is None else entry.extra in known


def lacking_here(entry: EnvironmentEntry) -> str | None:
    """For the worker: why it cannot train in it, or None if it can."""
    if entry.extra is None:
        package = missing_module(entry)
        return package and f"{entry.id} needs the package {package!r}, which is not here"
    missing = missing_modules(entry.extra)
    if not missing:
        return None
    told = _what_to_do(entry.extra)
    return f"{entry.id} needs {told}; missing here: {', '.join(missing)}"


def _what_to_do(extra: Extra) -> str:
    return (
        f"the extra {extra!r}, which the workers do not have. Where they run: "
        f"{install_command(extra)}"
    )
