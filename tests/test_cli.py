import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from ganfp_tf import cli, demo
from ganfp_tf.config import Config
from ganfp_tf.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Runs many command lines in one fresh interpreter and tells what each printed and imported.
RECORDER = """
import contextlib, io, json, sys
from ganfp_tf.cli import main
told = []
for words in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(["main.py", *words])
    slow = sorted({"tensorflow", "keras", "numpy", "pandas"} & set(sys.modules))
    told.append({"code": code, "out": out.getvalue(), "err": err.getvalue(), "slow": slow})
json.dump(told, sys.stdout)
"""

# Arguments (FOLDER is the folder of `files`) and what the one message says.
REFUSED = {
    "unknown flag": (["--sed=3"], "there is no flag --sed. Did you mean --seed?"),
    "unknown flag, nothing near": (["--zzz"], "there is no flag --zzz. --help lists all flags."),
    "int": (["--seed=abc"], "--seed must be int. Received: 'abc'"),
    "int with a point": (["--seed=1.5"], "--seed must be int. Received: '1.5'"),
    "float": (["--dropout=a:b=c"], "--dropout must be float. Received: 'a:b=c'"),
    "bool": (["--overwrite=maybe"], "--overwrite must be bool. Received: 'maybe'"),
    "no value": (["--seed"], "--seed"),
    "choice": (["--backbone=vgg"], "--backbone must be one of resnet50, "),
    "below": (["--seed=-1"], "--seed must be at least 0 and at most 2147483647. Received: -1"),
    "above": (["--dropout=1.5"], "--dropout must be at least 0.0 and at most 0.9. Received: 1.5"),
    "nan": (["--dropout=nan"], "--dropout must be at least 0.0 and at most 0.9. Received: nan"),
    "one fold": (["--folds=1"], "--folds must be 0 (no cross-fitting) or at least 2"),
    "window": (["--window=40"], "--window must be CENTER,WIDTH"),
    "positional": (["images"], "expected only --flags. Received: 'images'"),
    "bool and a word": (["--overwrite", "true"], "expected only --flags. Received: 'true'"),
    "after --": (["--", "--seed=3"], "expected only --flags. Received: '--seed=3'"),
    "empty data": (["--data="], "--data is empty: hand in a folder in the ImageCLEF 2023 or"),
    "predict without data": (
        ["--mode=predict", "--run_dir=FOLDER/run"],
        "--data is empty: hand in a folder in the ImageCLEF 2023 or 2025 layout",
    ),
    "evaluate without run": (["--mode=evaluate"], "--mode=evaluate needs --run_dir"),
    "predict without run": (["--mode=predict", "--data=x"], "--mode=predict needs --run_dir"),
    "export without run": (["--mode=export"], "--mode=export needs --run_dir"),
    "run not there": (
        ["--mode=evaluate", "--run_dir=FOLDER/none"],
        "FOLDER/none is not a folder. Train first",
    ),
    "run is empty": (
        ["--mode=export", "--run_dir=FOLDER/empty"],
        "FOLDER/empty has no config.json. Train first",
    ),
    "predictions alone": (
        ["--mode=evaluate", "--predictions=a.csv"],
        "--predictions and --truth go together",
    ),
    "truth alone": (["--mode=evaluate", "--truth=a"], "--predictions and --truth go together"),
    "predictions in train": (
        ["--predictions=a", "--truth=b", "--data=x"],
        "--predictions and --truth go with --mode=evaluate",
    ),
    "submission in train": (
        ["--submission=2025", "--data=x"],
        "--submission goes with --mode=predict",
    ),
    "no flagfile": (
        ["--flagfile=FOLDER/none.cfg"],
        "--flagfile: cannot read FOLDER/none.cfg: No such file or directory.",
    ),
    "flagfile is a folder": (["--flagfile=FOLDER/run"], "--flagfile: cannot read FOLDER/run: "),
    "flagfile is an image": (["--flagfile=FOLDER/image.png"], "--flagfile: the file is not UTF-8"),
    "flagfile without a path": (["--flagfile"], "--flagfile"),
    "flagfile with a word": (["--flagfile=FOLDER/word.cfg"], "Received: 'seed=3'"),
    "flagfile with a typo": (["--flagfile=FOLDER/typo.cfg"], "Did you mean --epochs?"),
    "no config_json": (["--config_json=FOLDER/none"], "cannot read FOLDER/none: No such file"),
    "bad config_json": (["--config_json=FOLDER/image.png"], "FOLDER/image.png is not JSON"),
    "config_json of a list": (["--config_json=FOLDER/list.json"], "expected a JSON object"),
    "config_json with a typo": (["--config_json=FOLDER/typo.json"], "Did you mean seed?"),
    "damaged run": (["--mode=export", "--run_dir=FOLDER/damaged"], "config.json is not JSON"),
    "other data": (
        ["--mode=evaluate", "--run_dir=FOLDER/run", "--data=elsewhere"],
        "cannot be changed: --data (trained with 'somewhere')",
    ),
    "another window": (
        ["--mode=export", "--run_dir=FOLDER/run", "--window=40,400"],
        "cannot be changed: --window (trained with '')",
    ),
    "overwrite what is asked": (
        ["--mode=export", "--run_dir=FOLDER/run", "--overwrite"],
        "--overwrite goes with --mode=train",
    ),
    "another model": (
        ["--mode=evaluate", "--run_dir=FOLDER/run", "--backbone=resnet50", "--seed=3"],
        "FOLDER/run holds a trained model whose settings cannot be changed: --backbone (trained "
        "with 'tiny'). Leave them out, or train another run.",
    ),
}


def write_files(folder):
    (folder / "run").mkdir()
    (folder / "empty").mkdir()
    (folder / "damaged").mkdir()
    trained = Config(data="somewhere", backbone="tiny", seed=3, epochs=2, hidden=64)
    (folder / "run" / "config.json").write_text(json.dumps(trained.to_dict()))
    (folder / "damaged" / "config.json").write_text('{"seed": ')
    (folder / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    (folder / "word.cfg").write_text("seed=3\n")
    (folder / "typo.cfg").write_text("--epoch=3\n")
    (folder / "list.json").write_text("[1]")
    (folder / "typo.json").write_text('{"sed": 3}')
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="module")
def told(folder):
    """name -> what the command line of REFUSED printed and returned."""
    lines = [[w.replace("FOLDER", str(folder)) for w in words] for words, _ in REFUSED.values()]
    done = subprocess.run(
        [sys.executable, "-c", RECORDER],
        input=json.dumps(lines),
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return dict(zip(REFUSED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("name", REFUSED)
def test_a_usage_error_is_one_line_and_code_2(told, folder, name):
    message, answer = REFUSED[name][1].replace("FOLDER", str(folder)), told[name]
    assert answer["code"] == 2
    assert answer["out"] == ""
    assert answer["err"].startswith("ganfp: ")
    assert message in answer["err"]
    assert answer["err"].count("\n") == 1
    assert answer["err"].endswith("\n")
    for word in ("Traceback", "ERROR::", "Errno", "Error("):
        assert word not in answer["err"]


@pytest.mark.parametrize("name", REFUSED)
def test_a_usage_error_answers_before_anything_slow_is_imported(told, name):
    assert told[name]["slow"] == []


@pytest.mark.parametrize("words", [["--help"], ["--seed=-1", "--help"], ["-helpshort"]])
def test_help_prints_all_flags_and_exits_0(words, capsys):
    assert cli.main(["main.py", *words]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for field in dataclasses.fields(Config):
        assert f"--{field.name}=" in printed.out


def test_main_py_answers_help_and_a_wrong_flag():
    helped = subprocess.run(
        [sys.executable, "main.py", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("ganfp: ")
    wrong = subprocess.run(
        [sys.executable, "main.py", "--sed=3"], cwd=ROOT, capture_output=True, text=True
    )
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "ganfp: there is no flag --sed. Did you mean --seed?\n"


def test_main_py_is_short():
    assert len((ROOT / "main.py").read_text(encoding="utf-8").splitlines()) < 60


def test_each_mode_has_steps_that_are_modules():
    assert tuple(cli.STEPS) == next(
        f.metadata["choices"] for f in dataclasses.fields(Config) if f.name == "mode"
    )
    for steps in cli.STEPS.values():
        for step in steps:
            assert (ROOT / "ganfp_tf" / "modes" / f"{step}.py").is_file()


def parse(*words):
    return cli.parse(["main.py", *words])


def test_parse_without_flags_is_the_defaults_on_the_demo_data():
    assert cli.parse(["main.py"]) == Config(data=str(demo.folder()))
    # The other modes have nothing to do with it, or name their data.
    for words in (["--mode=simulate"], ["--mode=predict"], ["--mode=simulate", "--grid=seed=0"]):
        assert cli.parse(["main.py", *words]).data == ""
    assert cli.parse(["main.py", "--data=x"]).data == "x"


def test_defaults_then_config_json_then_flags(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(Config(seed=3, epochs=5, data="here").to_dict()))
    config = parse(f"--config_json={path}", "--epochs=7", "--seed=0")
    assert config == Config(seed=0, epochs=7, data="here")


def test_a_flagfile_overrides_config_json_and_a_flag_both(tmp_path):
    (tmp_path / "config.json").write_text('{"seed": 3, "epochs": 5, "hidden": 9}')
    (tmp_path / "a.cfg").write_text("--epochs=6\n--hidden=8\n")
    config = parse(
        f"--flagfile={tmp_path}/a.cfg", "--hidden=7", f"--config_json={tmp_path}/config.json"
    )
    assert (config.seed, config.epochs, config.hidden) == (3, 6, 7)


def test_config_json_may_give_mode_and_run_dir(folder, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"mode": "evaluate", "run_dir": str(folder / "run")}))
    config = parse(f"--config_json={path}")
    assert (config.mode, config.backbone, config.seed) == ("evaluate", "tiny", 3)


@pytest.mark.parametrize("mode", ["evaluate", "predict", "export"])
def test_other_modes_take_the_settings_of_the_run(folder, mode):
    config = parse(f"--mode={mode}", f"--run_dir={folder}/run")
    assert (config.mode, config.run_dir) == (mode, f"{folder}/run")
    assert (config.backbone, config.seed, config.epochs) == ("tiny", 3, 2)
    # A run's own images are not what an unlabelled set is.
    assert config.data == ("" if mode == "predict" else "somewhere")


def test_other_modes_may_repeat_the_run_and_ask_otherwise(folder):
    config = parse(
        "--mode=predict",
        f"--run_dir={folder}/run",
        "--backbone=tiny",
        "--partners=5",
        "--window=40,400",
        "--data=other",
        "--submission=2025",
    )
    assert (config.backbone, config.partners, config.window) == ("tiny", 5, "40,400")
    assert (config.data, config.submission) == ("other", "2025")


def test_all_changed_settings_of_a_run_are_named(folder):
    with pytest.raises(UserError) as caught:
        parse("--mode=evaluate", f"--run_dir={folder}/run", "--seed=4", "--hidden=9", "--epochs=2")
    assert "--seed (trained with 3)" in str(caught.value)
    assert "--hidden (trained with 64)" in str(caught.value)
    assert "--epochs" not in str(caught.value)


def test_train_is_not_bound_to_the_run_folder(folder):
    config = parse(f"--run_dir={folder}/run", "--data=x")
    assert config == Config(run_dir=f"{folder}/run", data="x")


def test_a_run_file_is_scored_without_a_run():
    cli.check(parse("--mode=evaluate", "--predictions=a.csv", "--truth=b.csv"))


def test_an_error_of_a_mode_and_an_interruption_have_codes(monkeypatch, capsys):
    def failing(error):
        class Mode:
            @staticmethod
            def run(config, *_):
                raise error

        return lambda name: Mode

    monkeypatch.setattr(cli.importlib, "import_module", failing(UserError("no images")))
    assert cli.main(["main.py", "--data=x"]) == 2
    assert capsys.readouterr().err == "ganfp: no images\n"
    monkeypatch.setattr(cli.importlib, "import_module", failing(KeyboardInterrupt()))
    assert cli.main(["main.py", "--data=x"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
