"""The types of arrays that every room shares."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[np.generic]
"""An array of any element type."""
FloatArray: TypeAlias = npt.NDArray[np.float32]
IdArray: TypeAlias = npt.NDArray[np.int64]
"""Token or word ids."""
Arrays: TypeAlias = Mapping[str, Array]
"""Tensors by name."""
