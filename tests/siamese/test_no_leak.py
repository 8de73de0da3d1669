"""No image or patient of the test part ever reaches training, seen from what training is fed."""

import numpy as np
import pytest

from ganfp_tf.config import Config
from ganfp_tf.data.catalog import load_catalog
from ganfp_tf.data.images import DEFAULT_READER
from ganfp_tf.data.split import make_splits, split_of
from ganfp_tf.siamese import encoded_images, training

EPOCHS, STEPS = 4, 25


@pytest.fixture(scope="module")
def catalog(victim):
    catalog = load_catalog(victim[0], progress=False)
    # Three images a patient, so that splitting by image would be seen.
    real = catalog.frame["role"] == "real"
    number = catalog.frame["name"].str.extract(r"(\d+)\.")[0].astype(int)
    patients = catalog.frame["label"].astype(str) + "-" + ((number - 1) // 3).astype(str)
    return catalog.frame.assign(patient=np.where(real, patients, ""))


@pytest.mark.parametrize("finetune", ["none", "all"])
@pytest.mark.parametrize("pairing", ["random", "nearest", "mixed"])
def test_test_images_never_reach_training(catalog, finetune, pairing, tmp_path):
    config = Config(
        backbone="tiny",
        weights="none",
        image_size=32,
        width=8,
        heads=2,
        finetune=finetune,
        pairing=pairing,
        neighbours=4,
        store_dir=str(tmp_path),
        store_dtype="float32",
    )
    splits = make_splits(catalog, test_fraction=0.2, validation_fraction=0.2, folds=3, seed=0)
    backbone, report = encoded_images.make_backbone(config, config.seed)
    material, _ = encoded_images.open_images(catalog, backbone, report, config)
    if finetune == "none":
        seen_as = [batch[0] for batch in material.features.batches(1)]
    else:
        seen_as = [DEFAULT_READER.read(path) for path in material.frame["path"]]
    known = {array.astype("float32").tobytes(): i for i, array in enumerate(seen_as)}
    assert len(known) == len(material.frame)

    for split_id in ("main", "fold_1"):
        split = split_of(splits, split_id)
        rows = training.Rows.of(material, split)
        centres = encoded_images.centres_of(material, rows.train_real, rows.train_generated)
        reached = set()
        for epoch in range(EPOCHS):
            dataset = training.training_pairs(material, rows, centres, epoch * STEPS)
            for inputs, labels in dataset.take(STEPS):
                real, generated = inputs["real"].numpy(), inputs["generated"].numpy()
                for images in (real, generated):
                    for image in images.reshape(-1, *images.shape[2:]):
                        reached.add(known[image.tobytes()])
                # The label beside a real image is its own.
                for block, row in np.ndindex(real.shape[:2]):
                    label = material.frame["label"].iloc[known[real[block, row].tobytes()]]
                    assert (labels[block, row].numpy() == label).all()
        fed = material.frame.iloc[sorted(reached)]
        parts = fed["path"].map(split)
        assert set(parts) == {"train"}
        held_out = set(split.index[split != "train"])
        others = material.frame[material.frame["path"].isin(held_out)]
        patients = set(others["patient"]) - {""}
        assert patients
        assert not patients & set(fed["patient"])
        # All training images of both labels were reached, so the test could have failed.
        assert set(fed["path"][fed["role"] == "real"]) == set(
            material.frame["path"].iloc[rows.train_real]
        )


def test_every_fold_tests_other_images(catalog):
    splits = make_splits(catalog, test_fraction=0.2, validation_fraction=0.2, folds=3, seed=0)
    tested = splits[(splits["split_id"] != "main") & (splits["split"] == "test")]
    assert sorted(tested["path"]) == sorted(catalog["path"])
