"""Run files of both years, reading them back, and every way to get them wrong."""

import csv

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from ganfp_tf.data import submission
from ganfp_tf.errors import UserError
from ganfp_tf.files import write_csv


def write(folder, text, name="run.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def test_the_2023_form_has_stems():
    names = ["real_unknown_0010.png", "real_unknown_0002.png", "sub/real_unknown_0001.PNG"]
    assert submission.submission_lines(names, [1, 0, 1], "2023") == [
        "real_unknown_0001,1",
        "real_unknown_0002,0",
        "real_unknown_0010,1",
    ]


def test_the_2025_form_has_names_in_natural_order():
    names = [f"real_unknown_{number}.png" for number in (10, 9, 1, 100)]
    assert submission.submission_lines(names, np.array([1, 0, 1, 0]), "2025") == [
        "real_unknown_1.png,1",
        "real_unknown_9.png,0",
        "real_unknown_10.png,1",
        "real_unknown_100.png,0",
    ]


def test_the_dots_of_a_dicom_uid_are_part_of_the_id():
    lines = submission.submission_lines(
        ["1.2.840.1", "1.2.840.2.dcm", "b.nii.gz"], [0, 1, 1], "2023"
    )
    assert lines == ["1.2.840.1,0", "1.2.840.2,1", "b,1"]


def test_the_file_holds_the_lines_and_replaces_an_older_one(tmp_path):
    path = write(tmp_path, "old")
    submission.write_submission(path, ["b_2.png", "b_1.png"], np.array([True, False]), "2025")
    assert path.read_bytes() == b"b_1.png,0\nb_2.png,1\n"
    with pytest.raises(UserError):
        submission.write_submission(path, ["b_2.png", "b_1.png"], [1, 2], "2025")
    assert path.read_bytes() == b"b_1.png,0\nb_2.png,1\n"
    assert [item.name for item in tmp_path.iterdir()] == ["run.csv"]


@pytest.mark.parametrize(
    ("names", "decisions", "year", "message"),
    [
        (["a.png", "a.png"], [0, 1], "2025", "Received twice: 'a.png'"),
        (["a.png", "a.jpg"], [0, 1], "2023", "Received twice: 'a' .folders and endings"),
        (["x/a.png", "y/a.png"], [0, 1], "2025", "Received twice: 'a.png'"),
        (["a.png"], [2], "2025", "must be 0 or 1. Received: 2 for 'a.png'"),
        (["a.png"], [0.7], "2025", "must be 0 or 1. Received: 0.7"),
        (["a.png"], ["1"], "2025", "must be 0 or 1. Received: '1'"),
        (["a,b.png"], [1], "2025", "Rename the image 'a,b.png'"),
        (["a\nb.png"], [1], "2023", "comma, quote or control"),
        (['a"b.png'], [1], "2023", "comma, quote or control"),
        ([".png"], [1], "2023", "empty name"),
        ([], [], "2025", "at least one image"),
        (["a.png"], [1], "2024", "--submission must be one of 2023, 2025. Received: '2024'"),
    ],
)
def test_wrong_runs_are_refused(names, decisions, year, message):
    with pytest.raises(UserError, match=message):
        submission.submission_lines(names, decisions, year)


@hypothesis.given(
    st.dictionaries(
        st.from_regex(r"[a-zé_.-]{0,3}[0-9]{1,4}", fullmatch=True), st.integers(0, 1), min_size=1
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, answers):
    path = tmp_path_factory.mktemp("run") / "run.csv"
    for year, ending in (("2023", ""), ("2025", ".png")):
        names = [name + ".png" for name in answers]
        submission.write_submission(path, names, list(answers.values()), year)
        found = submission.read_predictions(path)
        decisions = dict(zip(found["name"], found["decision"], strict=True))
        assert decisions == {name + ending: decision for name, decision in answers.items()}
        assert found["score"].isna().all()


def test_a_predictions_csv_of_ganfp_is_read(tmp_path):
    frame = pd.DataFrame(
        {
            "name": ["=a.png", "b,1.png", "c.png"],
            "patient": ["p", "q", "r"],
            "label": [-1, -1, -1],
            "score": [-1.5, 2.25, 1e-7],
            "prediction": [0, 1, 1],
        }
    )
    write_csv(tmp_path / "predictions.csv", frame)
    found = submission.read_predictions(tmp_path / "predictions.csv")
    assert found["name"].tolist() == ["=a.png", "b,1.png", "c.png"]
    assert found["decision"].tolist() == [0, 1, 1]
    assert found["score"].tolist() == [-1.5, 2.25, 1e-7]


@pytest.mark.parametrize(
    "text",
    [
        "a.png,1\nb.png,0\n",
        "name,prediction\na.png,1\nb.png,0\n",
        "Image,Label\r\na.png,1\r\nb.png,0\r\n",
        "\ufeffprediction,name\n1,a.png\n0,b.png",
        "\ufeffa.png,1\n\nb.png , 0\n\n",
        "filename,whatever\na.png,1\nb.png,0\n",
    ],
)
def test_run_files_with_and_without_a_header(tmp_path, text):
    found = submission.read_predictions(write(tmp_path, text))
    assert found["name"].tolist() == ["a.png", "b.png"]
    assert found["decision"].tolist() == [1, 0]


def test_an_image_called_name_is_not_a_header(tmp_path):
    assert len(submission.read_predictions(write(tmp_path, "name,1\nb,0\n"))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1\nb,0\na.png,1\n", "line 3: 'a.png' was named in line 1 already"),
        ("a,1\nb,2\n", "line 2: the prediction must be 0 or 1, found '2'"),
        ("a,yes\nb,1\n", "line 1: .* found 'yes'. If this line is a header"),
        ("a,1.0\n", "found '1.0'"),
        ("a,\n", "found ''"),
        ("", "the file is empty"),
        ("\n \n", "the file is empty"),
        ("name,prediction\n", "found a header and no rows"),
        ("a,1\n\nb,0,3\n", "line 3: expected 2 columns separated by commas, found 3"),
        ("a;1\n", "line 1: expected 2 columns separated by commas, found 1"),
        ("a,1\n,0\n", "line 2: the name of the image is empty"),
        ("name,label,score\na,1,0.5\n", "with the columns name and prediction"),
        ("name,score\na,0.5\n", "expected a header with the columns name and prediction"),
        ("name,prediction,score\na,1,high\n", "line 2: the score must be a finite number"),
        ("name,prediction,score\na,1,nan\n", "line 2: the score must be a finite number"),
        ("name,prediction,score\na,1\n", "line 2: expected 3 columns"),
        ('a,1\n"b,0\n', "line 2: not a readable CSV"),
        (b"a,1\n\xff\xfe,0\n", "line 2: not UTF-8"),
        (b"a\x00b\xd8,1\n", "line 1: not UTF-8"),
    ],
)
def test_wrong_predictions_name_the_line(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        submission.read_predictions(path)
    assert str(caught.value).startswith(str(path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: cannot be read: No such file"):
        submission.read_predictions(tmp_path / "none.csv")
    with pytest.raises(UserError, match="cannot be read"):
        submission.read_truth(tmp_path)


@hypothesis.given(st.binary(max_size=60) | st.text("a,;01\n\r\"'= nme\0", max_size=40))
def test_any_bytes_give_predictions_or_a_users_error(tmp_path_factory, data):
    path = write(tmp_path_factory.mktemp("wild"), data)
    for read in (submission.read_predictions, submission.read_truth):
        try:
            found = read(path)
        except UserError:
            continue
        assert len(found)
        assert found["name"].is_unique
        assert set(found.iloc[:, 1]) <= {0, 1}


def test_truth_with_and_without_patients(tmp_path):
    found = submission.read_truth(write(tmp_path, "name,label\na.png,1\nb.png,0\n"))
    assert found["patient"].tolist() == ["a", "b"]
    assert found["label"].tolist() == [1, 0]
    found = submission.read_truth(write(tmp_path, "patient,extra,Label,name\np,,1,a.png\n"))
    assert found.to_dict("records") == [{"name": "a.png", "label": 1, "patient": "p", "group": ""}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.png,1\n", "line 1: expected a header with the columns name, label"),
        ("name,label\n", "expected rows after the header"),
        ("name,label\na,-1\n", "line 2: the label must be 0 or 1, found '-1'"),
        ("name,label\na,1\na.png,1\n", "line 3: 'a.png' was named in line 2"),
        ("name,label,patient\na,1,\n", "line 2: the patient is empty"),
    ],
)
def test_wrong_truth_names_the_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        submission.read_truth(write(tmp_path, text))


def frames(predicted, true):
    predictions = pd.DataFrame(
        [(name, decision, np.nan) for name, decision in predicted.items()],
        columns=["name", "decision", "score"],
    )
    truth = pd.DataFrame(
        [(name, label, f"p-{name}") for name, label in true.items()],
        columns=["name", "label", "patient"],
    )
    return predictions, truth.assign(group="")


def test_join_matches_stems_in_the_order_of_the_truth():
    predictions, truth = frames({"b": 1, "x/a.png": 0}, {"a.png": 1, "b.png": 0})
    found = submission.join(predictions, truth)
    assert found.columns.tolist() == [*("name", "patient", "label", "group", "decision", "score")]
    assert found.iloc[0].tolist() == ["a.png", "p-a.png", 1, "", 0, 0.0]
    assert found.iloc[1].tolist() == ["b.png", "p-b.png", 0, "", 1, 1.0]
    found = submission.join(predictions.assign(score=[0.3, -2.0]), truth)
    assert found["score"].tolist() == [-2.0, 0.3]


def test_the_group_of_an_image_is_kept(tmp_path):
    text = "name,label,group\na.png,1,member\nb.png,0,sibling\n"
    truth = submission.read_truth(write(tmp_path, text))
    assert truth["group"].tolist() == ["member", "sibling"]
    predictions, _ = frames({"a": 1, "b": 0}, {"a.png": 1, "b.png": 0})
    assert submission.join(predictions, truth)["group"].tolist() == ["member", "sibling"]


def test_join_names_what_is_missing_and_what_is_too_much():
    predictions, truth = frames({"a": 1, "z": 1}, {f"b{n}": 0 for n in range(10)} | {"a": 1})
    with pytest.raises(UserError) as caught:
        submission.join(predictions, truth)
    message = str(caught.value)
    assert "the predictions have no 10 of the 11 images in the truth" in message
    assert "b0, b1, b2, b3, b4 and 5 more" in message
    assert "the truth has no 1 of the 2 images in the predictions: z" in message


def test_join_refuses_two_answers_for_an_image():
    predictions, truth = frames({"a": 1, "a.png": 0}, {"a": 1})
    with pytest.raises(UserError, match="The predictions name an image twice: a"):
        submission.join(predictions, truth)


@pytest.mark.data
def test_a_run_of_the_real_truth_scores_full_marks(tmp_path, shared_data):
    path = shared_data / "victim_a" / "truth.csv"
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = submission.read_truth(path)
    assert (len(truth), int(truth["label"].sum())) == (60, 30)
    for year in ("2023", "2025"):
        decisions = [int(row["label"]) for row in rows]
        submission.write_submission(tmp_path / "run.csv", truth["name"], decisions, year)
        found = submission.join(submission.read_predictions(tmp_path / "run.csv"), truth)
        assert (found["label"] == found["decision"]).all()
