"""Whether a class can stand for a port: the same methods with the same parameters."""

import inspect


def differences(port: type, implementation: type) -> list[str]:
    """Returns each method of the port that the class lacks or takes other parameters for."""
    found = []
    for name, wanted in inspect.getmembers(port, inspect.isfunction):
        if name.startswith("_"):
            continue
        made = getattr(implementation, name, None)
        if made is None:
            found.append(f"{name} is missing")
            continue
        wanted_names = _parameters(wanted)
        made_names = _parameters(made)
        if wanted_names != made_names:
            found.append(f"{name}: {made_names} instead of {wanted_names}")
    return found


def _parameters(function: object) -> list[tuple[str, bool]]:
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    # Names of positional parameters may differ; those of keywords are part of the port.
    return [
        (
            parameter.name if parameter.kind is parameter.KEYWORD_ONLY else "",
            parameter.default is parameter.empty,
        )
        for parameter in parameters
    ]
