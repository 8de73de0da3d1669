"""--beam, --runner and --runner_options are judged before anything is read."""

import sys

import pytest

from main import main


@pytest.fixture
def ganfp(tmp_path):
    """The function flags -> exit code of the command line, on a run that has only settings."""
    (tmp_path / "config.json").write_text("{}")
    words = ("--mode=predict", "--beam", f"--data={tmp_path}", f"--run_dir={tmp_path}")
    return lambda *more: main(["main.py", *words, *more])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runner=DirectRuner"], "Received: 'DirectRuner'. Did you mean DirectRunner?"),
        (["--runner=no.such.Runner"], "--runner=no.such.Runner cannot be had"),
        (["--runner_options=--direct_num_worker=2"], "Did you mean --direct_num_workers?"),
        (["--runner_options=--direct_num_workers=two"], "invalid int value: 'two'"),
        (["--runner_options=--direct_num_workers=2"], "--direct_running_mode=multi_threading"),
        (
            ["--runner_options=--direct_num_workers=2 --direct_running_mode=multi_processing"],
            "on one machine the pipeline runs in threads. Pass --direct_running_mode=multi_thread",
        ),
        (["--runner_options=--runner=FlinkRunner"], "the runner is named by --runner"),
        (["--runner_options='open"], "No closing quotation"),
        ([], "has no weights.json"),
    ],
)
def test_what_does_not_fit_is_named(ganfp, words, message, capsys):
    pytest.importorskip("apache_beam", reason="needs requirements-beam.txt")
    assert ganfp(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("ganfp: ")
    assert error.count("\n") == 1


def test_without_beam_it_says_what_to_install(ganfp, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    assert ganfp() == 2
    assert "pip install -r requirements-beam.txt" in capsys.readouterr().err


def test_the_default_runs_here_and_fetches_nothing():
    pytest.importorskip("apache_beam", reason="needs requirements-beam.txt")
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from ganfp_tf.beam.runner import open_runner

    # Beam's DirectRunner would look for its Prism runner, which is a download.
    for name in ("DirectRunner", "direct", "SwitchingDirectRunner"):
        assert type(open_runner(name, "")[0]) is FnApiRunner


def test_options_of_a_cluster_are_left_to_it():
    pytest.importorskip("apache_beam", reason="needs requirements-beam.txt")
    from apache_beam.runners.portability.flink_runner import FlinkRunner

    from ganfp_tf.beam.runner import open_runner

    words = "--flink_master=host:8081 --environment_type=LOOPBACK --parallelism=4"
    runner, options = open_runner("flink", words)
    assert isinstance(runner, FlinkRunner)
    assert options.get_all_options(retain_unknown_options=True)["parallelism"] == 4
