"""--mode=audit through main.main: labelled, against a reference, suspects alone."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ganfp_tf.reports.audit.schema import schema
from main import main

jsonschema = pytest.importorskip("jsonschema")
QUICK = ("--bootstrap=100", "--permutations=199", "--folds=3")
DETECTORS = "--detectors=nearest_pixels,calibrated_pixels,hits_pixels,fast_stack,fast_mean"
FILES = ("report.html", "audit.json", "scores.csv", "audit_card.md", "figures/roc.png")


def audit(*words):
    return main(["main.py", "--mode=audit", *QUICK, *map(str, words)])


def read(folder):
    """audit.json, checked against the published schema."""
    text = (folder / "audit.json").read_text()
    found = json.loads(text, parse_constant=lambda value: pytest.fail(f"{value} is not JSON"))
    jsonschema.validate(found, schema())
    return found


@pytest.fixture(scope="module")
def labelled(victim, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled") / "run"
    assert audit(f"--data={victim[0]}", f"--run_dir={folder}", DETECTORS) == 0
    return folder


@pytest.fixture(scope="module")
def folders(victim, tmp_path_factory):
    """The victim's images without labels: generated, suspects and reference, plain folders."""
    root = tmp_path_factory.mktemp("folders")
    for name, source in (
        ("generated", "generated"),
        ("suspects", "real_used"),
        ("reference", "real_not_used"),
    ):
        shutil.copytree(victim[0] / source, root / f"{name}_images")
    return root


def test_planted_copies_are_evidence_and_all_files_are_there(labelled):
    found = read(labelled)
    assert found["verdict"]["code"] == "evidence", found["verdict"]
    assert found["question"]["kind"] == "labelled"
    assert found["primary"] == "fast_stack"
    assert all((labelled / name).stat().st_size for name in FILES)
    names = [row["name"] for row in found["detectors"]]
    assert names[0] == "fast_stack"
    assert {"blind_pixels", "blind_classifier"} < set(names)
    assert found["detectors"][0]["auc"]["value"] > 0.9
    # 15 images not used resolve no rate of 5 % or less.
    assert [rate["resolvable"] for rate in found["detectors"][0]["tpr"]] == [True, False] + [
        False
    ] * 2
    assert found["set"]["permutation_p"] < 0.05
    assert found["share"]["value"] > 0.5
    page = (labelled / "report.html").read_text()
    assert found["verdict"]["headline"] in page
    assert found["riskiest"][0]["name"] in page
    assert not list(labelled.glob("control-*"))  # images of patients do not stay


def test_every_control_was_run(labelled):
    controls = {row["name"]: row for row in read(labelled)["controls"]}
    assert set(controls) == {
        "members",
        "non_members",
        "blind_distance",
        "blind_classifier",
        "unrelated",
        "stand_in_sees",
        "planted_1",
        "planted_5",
        "planted_20",
    }
    assert controls["planted_20"]["passed"]
    # 5 % of 90 generated images are 4 copies.
    assert controls["planted_5"]["passed"] is None
    assert "Not run" in controls["planted_5"]["found"]
    assert controls["planted_20"]["recovered"] > 0.8
    assert controls["stand_in_sees"]["auc"]["value"] > controls["unrelated"]["auc"]["value"]


def test_scores_hold_every_image_and_detector(labelled):
    scores = pd.read_csv(labelled / "scores.csv")
    assert len(scores) == 30
    assert set(scores.group) == {"suspect", "reference"}
    assert set(scores.label) == {0, 1}
    assert scores.nearest_pixels.notna().all()
    used = scores[scores.group == "suspect"]
    assert np.isclose(used.p.min(), 1 / 16)
    assert (used.q >= used.p - 1e-12).all()
    assert used.best_match.str.startswith("generated_").all()


def test_the_same_command_measures_nothing_again(labelled, victim, monkeypatch):
    before = read(labelled)
    from ganfp_tf.audit import measure

    monkeypatch.setattr(measure, "_scored", lambda *_: pytest.fail("measured again"))
    assert audit(f"--data={victim[0]}", f"--run_dir={labelled}", DETECTORS) == 0
    after = read(labelled)
    for changing in ("created", "seconds", "peak_bytes"):
        before.pop(changing), after.pop(changing)
    assert before == after


def test_gates(labelled, victim, capsys):
    words = (f"--data={victim[0]}", f"--run_dir={labelled}", DETECTORS)
    assert audit(*words, "--fail_on_evidence") == 3
    assert "EVIDENCE" in capsys.readouterr().out
    assert audit(*words, "--nofail_on_evidence", "--fail_above_auc=0.5") == 3
    assert audit(*words, "--nofail_on_evidence", "--fail_above_auc=1.0") == 0


def test_against_a_reference(folders, tmp_path):
    words = [
        f"--{flag}={folders / name}"
        for flag, name in (
            ("data", "generated_images"),
            ("suspects", "suspects_images"),
            ("reference", "reference_images"),
        )
    ]
    assert audit(*words, f"--run_dir={tmp_path}", DETECTORS) == 0
    found = read(tmp_path)
    assert found["question"]["kind"] == "reference"
    assert found["question"]["lost"]
    assert found["verdict"]["code"] == "evidence", found["verdict"]
    assert found["primary"] == "fast_mean"
    assert found["detectors"][0]["tpr"] is None
    assert found["epsilon"] is None
    assert found["set"]["permutation_p"] < 0.05
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert set(scores.label) == {-1}  # nobody has said who was used


def test_suspects_alone_are_ranked_and_no_more(folders, tmp_path):
    words = (f"--data={folders / 'generated_images'}", f"--suspects={folders / 'suspects_images'}")
    assert audit(*words, f"--run_dir={tmp_path}", DETECTORS) == 0
    found = read(tmp_path)
    assert found["verdict"]["code"] == "inconclusive"
    assert len(found["question"]["lost"]) == 3
    assert found["set"] is None
    assert found["detectors"][0]["auc"] is None
    assert len(found["riskiest"]) == 8
    assert "Inconclusive" in (tmp_path / "report.html").read_text()


def test_images_that_differ_of_themselves_are_not_trusted(victim, tmp_path, capsys):
    """Used images are brighter, so the generator draws bright ones: no copy, but a high AUC."""
    root = tmp_path / "data"
    shutil.copytree(victim[0], root)
    for path in (root / "real_used").iterdir():
        bright = np.asarray(Image.open(path)).astype(int) // 2 + 127
        Image.fromarray(bright.astype("uint8")).save(path)
    for path in (root / "real_not_used").iterdir():
        dark = np.asarray(Image.open(path)).astype(int) // 2
        Image.fromarray(dark.astype("uint8")).save(path)
    code = audit(f"--data={root}", f"--run_dir={tmp_path / 'run'}", DETECTORS, "--fail_on_evidence")
    found = read(tmp_path / "run")
    assert code == 4
    assert found["verdict"]["code"] == "not_trustworthy"
    assert "blind_classifier" in found["verdict"]["failed_controls"]
    assert "NOT TRUSTWORTHY" in capsys.readouterr().out


def test_names_from_users_do_no_harm(victim, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(victim[0], root)
    evil = ("=HYPERLINK(1).png", "<img src=x onerror=alert(1)>.png", "@a|b.png")
    for number, name in enumerate(evil, start=1):
        (root / "real_used" / f"real_used_{number}.png").rename(root / "real_used" / name)
    assert audit(f"--data={root}", f"--run_dir={tmp_path / 'run'}", DETECTORS) == 0
    read(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "<img src=x" not in page
    assert "alert(1)" not in page.replace("alert(1)&gt;", "")
    rows = (tmp_path / "run" / "scores.csv").read_text().splitlines()
    assert not [row for row in rows if row.startswith(("=", "@", '"=', '"@'))]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--suspects=S",), "--data"),
        (("--reference=R", "--data=D"), "--reference goes with --suspects"),
        (("--data=D", "--suspects=S", "--fail_above_auc=0.6"), "--fail_above_auc needs an AUC"),
        (("--data=D", "--detectors=nearest"), "there is no detector 'nearest'"),
        (("--data=nowhere",), "there is no file or folder"),
        (("--data=D", "--fold_seeds=2"), "--fold_seeds goes with --mode=benchmark"),
    ],
)
def test_a_mistake_is_told(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert audit(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_settings_of_audits_go_with_audits(tmp_path, capsys):
    assert main(["main.py", "--fail_on_evidence", f"--data={tmp_path}"]) == 2
    assert "--fail_on_evidence goes with --mode=audit" in capsys.readouterr().err


def test_two_generators_are_two_audits(victim, tmp_path, capsys):
    for part in ("one", "two"):
        shutil.copytree(victim[0], tmp_path / "data" / part)
    # The same images in both would be another mistake.
    for path in (tmp_path / "data" / "two").rglob("*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert audit(f"--data={tmp_path / 'data'}", f"--run_dir={tmp_path / 'run'}") == 2
    assert "an audit is of one generator" in capsys.readouterr().err
