"""Writes tests/golden/timm.npz: what timm makes of the tensors of tests/models/timm_tensors.

pip install -r requirements.txt -r requirements-parity.txt
python tests/parity/write_golden.py
"""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np

from tests.helpers.references import IN_TIMM, reference, tokens_of
from tests.helpers.timm_tensors import CASES, GOLDEN, images, names_digest, sample, state


def golden():
    """dict key -> array: names_<backbone>, and for each case its numbers and <case>_scale."""
    arrays, shapes, tensors = {}, {}, {}
    for name in IN_TIMM:
        shapes[name] = {k: tuple(v.shape) for k, v in reference(name).state_dict().items()}
        arrays[f"names_{name}"] = np.array(names_digest(shapes[name]))
    for case, (name, side, _, _) in CASES.items():
        tensors.setdefault(name, state(shapes[name]))
        tokens = tokens_of(name, reference(name, tensors[name], side), images(side))
        arrays[case] = sample(tokens, case)
        arrays[f"{case}_scale"] = np.abs(tokens).max()
    return arrays


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **golden())
    print(f"{GOLDEN}: {GOLDEN.stat().st_size} bytes")
