"""The additive basis: matrices that single precision has rounded."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.methods.additive import _root


def test_what_single_precision_leaves_is_no_obstacle():
    """Columns that are nearly one, whose products single precision rounds beyond what they can be."""
    told = 1e12 * (np.ones((3, 3)) + 3e-6 * (1 - np.eye(3)))
    root = _root(told, np.ones(3))
    assert root.T @ root @ (told + np.eye(3)) @ np.ones(3) == pytest.approx(np.ones(3), rel=1e-4)
    with pytest.raises(np.linalg.LinAlgError):
        _root(1e12 * (np.ones((3, 3)) + 0.1 * (1 - np.eye(3))), np.ones(3))
