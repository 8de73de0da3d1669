"""timm's ImageNet weights: a `.safetensors` file, from the Hugging Face hub or handed in."""

import dataclasses
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import safetensors

from ganfp_tf.errors import UserError
from ganfp_tf.models.weights.hub import HubFile
from ganfp_tf.models.weights.keras_files import some_names
from ganfp_tf.models.weights.timm_layout import Place

SUFFIX = ".safetensors"
FLOATS = ("F64", "F32", "F16", "BF16")
LARGEST_HEADER = 100_000_000  # bytes; the format's own limit


@dataclasses.dataclass(frozen=True)
class TimmWeights:
    """The weights of one of timm's networks."""

    model: str  # as timm names it, tag included; its repository at the hub is timm/<model>
    places: Callable[[keras.Model], list[Place]]

    def load(self, network: keras.Model) -> str:
        """Puts the published weights into `network`; says where they came from.

        Raises:
            UserError: not in the hub's cache and no way to the hub, or damaged.
        """
        file = HubFile(f"timm/{self.model}", "model.safetensors")
        self.load_file(network, file.find())
        return f"imagenet ({file.repository})"

    def load_file(self, network: keras.Model, path: pathlib.Path) -> None:
        """Puts the tensors of a file into `network`; all of them or, after an error, none.

        Args:
            network: the network that `places` knows.
            path: a `.safetensors` file with timm's state dict.

        Raises:
            UserError: the file cannot be read or is of another network; a tensor is missing, extra,
                misshapen or not finite.
        """
        path = pathlib.Path(path)
        places = self.places(network)
        tensors = read_tensors(path, places, self.model)
        for place in places:
            if place.variables:
                arrays = place.turn(tensors[place.tensor])
                for variable, array in zip(place.variables, arrays, strict=True):
                    variable.assign(array)


def is_safetensors(path: pathlib.Path) -> bool:
    """Is there such a file, and is it safetensors by its name or its first bytes?"""
    path = pathlib.Path(path)
    if not path.is_file():
        return False
    if path.suffix == SUFFIX:
        return True
    with path.open("rb") as file:
        start = file.read(9)
    # The length of a JSON object, then the object.
    header = int.from_bytes(start[:8], "little")
    return len(start) == 9 and 2 <= header <= LARGEST_HEADER and start[8:] == b"{"


def read_tensors(path: pathlib.Path, places: list[Place], model: str) -> dict[str, np.ndarray]:
    """Reads the tensors of a file that have variables to go to, and checks them.

    Args:
        path: pathlib.Path of the file.
        places: list of `Place`: what has to be in the file. Those without variables may be left
            out of it and are not looked at: a fine-tuned head has another number of classes.
        model: timm's name of the network, for messages.

    Returns:
        dict name -> float32 array.

    Raises:
        UserError: as `TimmWeights.load_file`.
    """
    wanted = {place.tensor: place.shape for place in places if place.variables}
    left_out = {place.tensor for place in places if not place.variables}
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            _check_names(path.name, model, set(file.keys()), set(wanted), left_out)
            tensors = {}
            for name, shape in wanted.items():
                found = file.get_slice(name)
                _check_tensor(path.name, name, shape, found)
                # What overflows is not finite, which is told by name.
                with np.errstate(over="ignore"):
                    tensors[name] = file.get_tensor(name).astype("float32")
    except UserError:
        raise
    except Exception as error:  # A damaged file can raise nearly anything.
        raise UserError(
            f"{path} cannot be read; it is cut short, damaged or not a safetensors file "
            f"({type(error).__name__}: {error}). Get it again."
        ) from None
    for name, array in tensors.items():
        if not np.isfinite(array).all():
            raise UserError(f"{path.name} has numbers in the tensor {name} that are not finite.")
    return tensors


def _check_names(source, model, found, wanted, left_out):
    missing, extra = wanted - found, found - wanted - left_out
    if missing or extra:
        raise UserError(
            f"{source} is not timm's {model}. Missing tensors: {some_names(missing)}. Not of this "
            f"network: {some_names(extra)}. Choose the --backbone the file was made with."
        )


def _check_tensor(source, name, shape, found):
    if tuple(found.get_shape()) != shape:
        raise UserError(
            f"{source} does not fit the backbone: the tensor {name} should have the shape {shape}, "
            f"found {tuple(found.get_shape())}. Choose the --backbone the file was made with."
        )
    if found.get_dtype() not in FLOATS:
        raise UserError(
            f"{source} holds the tensor {name} as {found.get_dtype()}; {', '.join(FLOATS)} can be "
            "read. Save it as float32."
        )
