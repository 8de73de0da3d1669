import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf.config import Config
from ganfp_tf.config.simulation import VictimSettings
from ganfp_tf.data.catalog import open_catalog
from ganfp_tf.simulation import dataset
from ganfp_tf.simulation.membership import divide


def table(members=12, seed=0):
    pool = pd.DataFrame(
        [(f"{patient}_{image}.png", f"p{patient}") for patient in range(40) for image in range(2)],
        columns=["path", "patient"],
    )
    config = Config(
        mode="simulate",
        members=members,
        non_members=12,
        gan_batch=4,
        test_fraction=0.25,
        unrelated=True,
        seed=seed,
    )
    groups = divide(pool, config.section(VictimSettings), test_fraction=0.25, seed=seed)
    return dataset.place_real(groups, seed)


def squares(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 32, 32)).astype("uint8")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    real = table()
    inside = real.target != ""
    dataset.write_images(folder, real.target[inside], squares(int(inside.sum())))
    targets = dataset.generated_targets(20, 5)
    dataset.write_images(folder, targets, squares(20, 1))
    planted = pd.DataFrame({"path": targets[:1], "source": real.target[:1]})
    dataset.write_tables(folder, real, targets, planted)
    dataset.write_images(folder / "unrelated", dataset.unrelated_targets(15), squares(15, 2))
    dataset.write_unrelated(folder, real, 15)
    return folder, real


def test_it_is_a_data_set_of_the_task(written):
    folder, real = written
    frame = open_catalog(str(folder), Config(), "train").frame
    known = frame[frame.role == "real"]
    assert known.label.value_counts().to_dict() == {1: 9, 0: 9}
    assert len(frame[frame.role == "generated"]) == 15
    patient_of = {
        target.split("/")[-1]: patient
        for target, patient in zip(real.target, real.patient, strict=True)
    }
    assert all(patient_of[name] == p for name, p in zip(known.name, known.patient, strict=True))
    unknown = open_catalog(str(folder), Config(), "predict").frame
    assert len(unknown[unknown.role == "real"]) == 3 + 3 + 3
    assert len(unknown[unknown.role == "generated"]) == 5


def test_the_truth_names_what_the_manifest_hides(written):
    folder, real = written
    truth = pd.read_csv(folder / "truth.csv", dtype=str)
    assert truth.columns.tolist() == ["name", "label", "patient", "group"]
    assert truth.group.value_counts().to_dict() == {"member": 3, "non_member": 3, "sibling": 3}
    assert set(truth.label[truth.group != "member"]) == {"0"}
    by_name = real.assign(name=real.target.str.split("/").str[-1]).set_index("name")
    assert by_name.group[truth.name].tolist() == truth.group.tolist()
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    hidden = manifest[manifest.path.str.startswith("test/real_unknown")]
    assert set(hidden.label) == {""}
    assert set(hidden.patient) == {""}


def test_order_and_numbers_tell_nothing(written):
    folder, _ = written
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    unknown = manifest[manifest.path.str.startswith("test/real_unknown")]
    numbers = unknown.path.str.extract(r"_(\d+)\.png")[0].astype(int).tolist()
    assert numbers == sorted(numbers) == list(range(1, 10))
    # Over many seeds a member is as often in the first half of the numbers as in the second.
    first = 0
    for seed in range(40):
        real = table(seed=seed)
        tested = real[(real.part == "test") & (real.group == "member")]
        number = tested.target.str.extract(r"_(\d+)\.png")[0].astype(int)
        first += int((number <= 4).sum())
    assert 30 < first < 80  # 120 members, 4 of 9 numbers: 53 expected, standard deviation 5


def test_the_unrelated_control_has_the_same_labels(written):
    folder, _ = written
    frame = open_catalog(str(folder / "unrelated"), Config(), "train").frame
    ours = open_catalog(str(folder), Config(), "train").frame
    columns = ["name", "label", "patient"]
    expected = ours[ours.role == "real"][columns].to_numpy().tolist()
    assert frame[frame.role == "real"][columns].to_numpy().tolist() == expected
    made = frame[frame.role == "generated"]
    assert len(made) == 15
    assert not set(made.digest) & set(ours.digest)


def test_planted_copies_are_on_record(written):
    planted = pd.read_csv(written[0] / "planted.csv")
    assert planted.path.tolist() == ["training/generated/generated_1.png"]


def test_images_that_are_there_are_not_written_again(tmp_path):
    images = squares(2)
    dataset.write_images(tmp_path, ["a.png", "b.png"], images)
    before = (tmp_path / "a.png").stat().st_mtime_ns
    (tmp_path / "b.png").write_bytes(b"half a fi")
    dataset.write_images(tmp_path, ["a.png", "b.png"], images)
    assert (tmp_path / "a.png").stat().st_mtime_ns == before
    with Image.open(tmp_path / "b.png") as stored:
        assert stored.mode == "L"
        assert np.array_equal(np.asarray(stored), images[1])


def test_the_digest_is_of_pixels_in_order():
    images = squares(3)
    assert dataset.digest_of_images(images) == dataset.digest_of_images(images.copy())
    assert dataset.digest_of_images(images) != dataset.digest_of_images(images[::-1])
    assert dataset.digest_of_images(images) != dataset.digest_of_images(images.reshape(3, 16, 64))
