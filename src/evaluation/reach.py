"""How far a predicted point may be from a click, by name and by value. This module imports nothing slow."""

import math

Sigma = float | str
"""A reach in pixels, or `PER_OBJECT`."""
PER_OBJECT = "object"
"""The reach that is each object's own, if the data knows the sizes of its objects."""
SIGMAS = (4.0, 8.0)
"""The reaches in pixels at which heads in crowds are usually scored (Liang et al., "Focal Inverse Distance Transform
Maps for Crowd Localization", IEEE Transactions on Multimedia 2022)."""
SWEEP = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
"""Further reaches, to see how the scores depend on them."""


def read_sigma(text: str) -> Sigma:
    """Return the reach that a text names; raise ValueError if it names none."""
    if text == PER_OBJECT:
        return text
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError(text)
    return value


def name_of(sigma: Sigma) -> str:
    """Return a reach as it appears in the names of scores.

    >>> name_of(4.0), name_of(2.5), name_of("object")
    ('4', '2.5', 'object')
    """
    return sigma if isinstance(sigma, str) else f"{sigma:g}"
