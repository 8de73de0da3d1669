"""A run in a process of its own, so that its time and its memory can be measured."""

import dataclasses
import os
import pathlib
import shlex
import subprocess
import sys
import time

from ganfp_tf import files
from ganfp_tf.config import Config
from ganfp_tf.errors import UserError

INTERRUPTED = 130
PACKAGE = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        code: exit code; minus the signal's number if one ended it, 130 if the user did.
        seconds: wall clock, the start of Python and TensorFlow included.
        peak_bytes: peak memory; None if the system does not report it. On Linux never
            less than this process held when it began the run.
    """

    code: int
    seconds: float
    peak_bytes: int | None


def run(config: Config, settings_path: pathlib.Path, log_path: pathlib.Path) -> Outcome:
    """Runs `config` with its output in a file; its bars and warnings stay on stderr.

    Args:
        config: its Config, run_dir included.
        settings_path: file that its settings are written to; it can be run again from there.
        log_path: file that its standard output is appended to.

    Returns:
        An `Outcome`.
    """
    files.write_json(settings_path, config.to_dict())
    command = [sys.executable, "-m", PACKAGE.name, f"--config_json={settings_path}"]
    paths = [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    started = time.monotonic()
    with open(log_path, "a", encoding="utf-8") as log:
        print(f"$ python {shlex.join(command[1:])}", file=log, flush=True)
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, env=environment)
        try:
            code, peak = _wait(process)
        except KeyboardInterrupt:
            # The terminal has told the run as well; it ends what it writes.
            process.wait()
            code, peak = INTERRUPTED, None
    return Outcome(code, time.monotonic() - started, peak)


def once(config: Config, place: pathlib.Path, result: str, title: str) -> tuple[dict, bool]:
    """Runs `config` into the folder `place` unless that was done before with the same settings.

    Beside the folder lie `<name>.json` (settings), `<name>.log` (what it printed) and
    `<name>.cost.json` (seconds and peak memory, over all interruptions).

    Args:
        config: its Config; run_dir is set here.
        place: its run folder.
        result: name of a file in it without which it is not done.
        title: its name in messages.

    Returns:
        `(cost, earlier)`: the content of the cost file, and whether it was done earlier.

    Raises:
        UserError: it did not end well; the same call goes on with it.
        KeyboardInterrupt: the user ended it.
    """
    config = dataclasses.replace(config, run_dir=str(place))
    settings = config.bound_settings()
    if config.mode != "simulate":
        settings |= config.settings("report")
    cost_path = place.with_name(f"{place.name}.cost.json")
    before = files.read_json(cost_path) if cost_path.exists() else {}
    done = before.get("finished") and (place / result).exists()
    if done and before["settings"] == settings:
        return before, True
    log = place.with_name(f"{place.name}.log")
    print(f"{title}: running; what it prints is in {log}", flush=True)
    outcome = run(config, place.with_name(f"{place.name}.json"), log)
    cost = {
        "finished": outcome.code == 0,
        "seconds": before.get("seconds", 0.0) + outcome.seconds,
        "peak_bytes": max(before.get("peak_bytes") or 0, outcome.peak_bytes or 0) or None,
        "settings": settings,
    }
    files.write_json(cost_path, cost)
    if outcome.code == INTERRUPTED:
        raise KeyboardInterrupt
    if outcome.code:
        how = f"exit code {outcome.code}"
        if outcome.code < 0:
            how = f"killed by signal {-outcome.code}; with signal 9 memory often was too small"
        raise UserError(
            f"{title} did not end well ({how}). Its own message is above, its output in "
            f"{log}. Mend the cause; the same command goes on from here."
        )
    return cost, False


def _wait(process):
    if not hasattr(os, "wait4"):
        return process.wait(), None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    # Kilobytes, except on a Mac.
    return process.returncode, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
