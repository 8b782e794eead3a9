"""Both stages of the check of a part."""

from cuelight import registry


def data_problems(part):
    """What is wrong with the parameters by their types, or else what the class says."""
    return registry.data.problems(part, "data") or registry.data.further_problems(part, "data")
