"""Arrays in numbered files; a file is complete, missing, or recognised as damaged.

    <folder>/<name>-00003-of-00010.npz

A file gets its name when it is complete, and a .npz holds a CRC-32 of each array.
"""

import dataclasses
import pathlib

import numpy as np

from ganfp_tf import files


@dataclasses.dataclass(frozen=True)
class Shards:
    """The numbered files of one kind.

    Attributes:
        folder: their folder.
        name: first part of their names.
        count: number of files.
    """

    folder: pathlib.Path
    name: str
    count: int

    def path(self, number: int, ending: str = "npz") -> pathlib.Path:
        """The file of a shard."""
        return self.folder / f"{self.name}-{number:05d}-of-{self.count:05d}.{ending}"

    def write(self, number: int, **arrays: np.ndarray) -> None:
        """Writes a shard's arrays."""
        with files.atomic_path(self.path(number)) as temporary:
            np.savez(temporary, **arrays)

    def read(self, number: int, *names: str) -> list[np.ndarray]:
        """Arrays of a shard, in the order of `names`; the others are not read."""
        with np.load(self.path(number), allow_pickle=False) as stored:
            return [stored[name] for name in names]

    def flaw(self, number: int, *names: str) -> str:
        """What is wrong with a shard that should hold the arrays `names`, or ""."""
        if not self.path(number).exists():
            return "is not there"
        try:
            self.read(number, *names)
        except Exception as error:  # a damaged file raises anything: BadZipFile, EOFError, KeyError
            return f"cannot be read ({type(error).__name__})"
        return ""

    def is_sound(self, number: int, *names: str) -> bool:
        """Whether a shard holds the arrays `names`, undamaged."""
        return not self.flaw(number, *names)
