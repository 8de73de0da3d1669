"""--mode=export: a SavedModel that needs neither this package nor Keras, or LiteRT models."""

import dataclasses

import keras

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.config.siamese import SiameseSettings
from ganfp_tf.data.images import ImageReader
from ganfp_tf.export import images as edge_images
from ganfp_tf.export import lite, lite_agreement
from ganfp_tf.export.saved_model import write_saved_model
from ganfp_tf.models.runtime import prepare_runtime
from ganfp_tf.reports import lite_export
from ganfp_tf.runs import run_folder
from ganfp_tf.siamese import networks
from ganfp_tf.statistics.sample import Resampling


def run(config: Config) -> None:
    """Writes saved_model/ or lite/ of the run's main detector, as --export_format says."""
    folder = run_folder.folder_of(config)
    if config.export_format != "savedmodel":
        _run_lite(config, folder)
        return
    run_folder.require(folder, "model.keras")
    prepare_runtime(config)
    write_saved_model(_read(folder), folder / "saved_model")
    print(f"SavedModel: {folder / 'saved_model'}")


def _read(folder):
    try:
        return keras.models.load_model(folder / "model.keras")
    except networks.DAMAGE as error:
        raise networks.unreadable(folder, error) from error


def _run_lite(config, folder):
    """Writes lite/: encoder.tflite, comparator.tflite, model.json and agreement.json."""
    names = ("model.keras", "images.csv", "splits.csv", "splits/main/decision.json")
    run_folder.require(folder, *names)
    prepare_runtime(dataclasses.replace(config, mixed_precision=False))
    network = lite.in_float32(_read(folder))
    encoder, comparator = network.get_layer("encoder"), network.get_layer("comparator")
    images = edge_images.RunImages(folder, config.image_size, ImageReader.of(config), config.seed)
    training = images.calibration() if config.export_format == "tflite_int8" else None
    made, arithmetic, calibration = lite_agreement.convert(encoder, comparator, training)
    place = folder / "lite"
    # An older agreement.json would speak of models that are no longer there.
    (place / "agreement.json").unlink(missing_ok=True)
    for name, content in made.items():
        with files.atomic_path(place / f"{name}.tflite") as temporary:
            temporary.write_bytes(content)
    decision = networks.Decision(**files.read_json(folder / "splits/main/decision.json"))
    files.write_json(
        place / "model.json",
        lite_export.description(
            config.section(SiameseSettings),
            encoder,
            comparator,
            made,
            arithmetic,
            calibration,
            decision,
        ),
    )
    print(f"LiteRT: {place}")
    if lite.interpreter_class()[0] is None:
        print(f"The models are written and were not checked: {lite.INSTALL}.")
        return
    found = lite_agreement.agreement(
        encoder,
        comparator,
        made,
        images.test(),
        None if config.supervision == "copy" else decision,
        supervision=config.supervision,
        resampling=Resampling.of(config),
    )
    found = {"format": config.export_format, "arithmetic": arithmetic, **found}
    found["megabytes"] = lite_export.megabytes(folder, made)
    files.write_json(place / "agreement.json", found)
    print(lite_export.summary(found, calibration))
