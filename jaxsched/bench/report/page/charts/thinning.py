"""Fewer points of a curve, with all of its corners."""

import numpy as np

# A difference of this share of the height is less than a pixel.
_LEAST = 0.002
# Before corners are sought, a longer curve has only every so-manyth point and its jumps.
_MANY = 4000


def steps_of(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the corners of values that hold from each update up to the next.

    A change that can be seen is a vertical line, with a point on either side; a smooth change is a
    slope.

    Args:
        values: of each update, such as its quartiles over seeds, f64[k, n].

    Returns:
        The updates done at each corner, int[m], and the values there, f64[k, m].
    """
    n = values.shape[1]
    changes = np.abs(np.diff(values)).max(axis=0)
    jumps = np.flatnonzero(changes > _LEAST * np.ptp(values)) + 1
    at, of = np.arange(n + 1), np.append(values, values[:, -1:], axis=1)
    # Before each jump stands one more point, with the value until then.
    return np.insert(at, jumps, jumps), np.insert(of, jumps, values[:, jumps - 1], axis=1)


def corners(x: np.ndarray, y: np.ndarray, most: int) -> np.ndarray:
    """Returns the indices of the points that a curve needs to look the same.

    Of two points at one place, the sides of a jump, both are kept unless there are too many.

    Args:
        x: the horizontal places, in ascending order, f64[n].
        y: the heights, finite, f64[n].
        most: keep about so many points at most, at the cost of precision.
    """
    kept = _candidates(y)
    tolerance = _LEAST * np.ptp(y)
    while len(found := _simplified(x, y, kept, tolerance)) > most and tolerance < np.ptp(y):
        kept, tolerance = found, 2 * tolerance
    return found


def _candidates(y: np.ndarray) -> np.ndarray:
    if len(y) <= _MANY:
        return np.arange(len(y))
    jumps = np.flatnonzero(np.abs(np.diff(y)) > _LEAST * np.ptp(y))
    spread = np.linspace(0, len(y) - 1, _MANY).astype(int)
    return np.unique(np.concatenate([spread, jumps, jumps + 1]))


def _simplified(x: np.ndarray, y: np.ndarray, kept: np.ndarray, tolerance: float) -> np.ndarray:
    """Ramer, Douglas and Peucker's simplification by vertical distance, of the points kept."""
    x, y = x[kept], y[kept]
    is_corner = np.zeros(len(kept), bool)
    is_corner[[0, -1]] = True
    stretches = [(0, len(kept) - 1)]
    while stretches:
        first, last = stretches.pop()
        if last - first < 2:
            continue
        width = x[last] - x[first]
        share = (x[first : last + 1] - x[first]) / width if width else 0.0
        away = np.abs(y[first : last + 1] - (y[first] + share * (y[last] - y[first])))
        away[[0, -1]] = 0
        farthest = first + int(np.argmax(away))
        if away[farthest - first] > tolerance:
            is_corner[farthest] = True
            stretches += [(first, farthest), (farthest, last)]
    return kept[is_corner]
