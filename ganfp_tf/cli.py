"""Flags -> Config -> modes. Usage errors and --help answer before TensorFlow is imported."""

import dataclasses
import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from ganfp_tf import demo
from ganfp_tf.config import Config, tf_config
from ganfp_tf.config.flags import define_flags, explicit_settings, help_text
from ganfp_tf.config.rules import check_rules
from ganfp_tf.config.run import NEW_RUN
from ganfp_tf.errors import NO_DATA, UserError
from ganfp_tf.runs import grid
from ganfp_tf.runs.systems import plan
from ganfp_tf.timing import Clock

# A trained model is evaluated and exported too; every step is a mode of its own.
STEPS = {
    "train": ("train", "evaluate", "export"),
    "evaluate": ("evaluate",),
    "predict": ("predict",),
    "audit": ("audit",),
    "export": ("export",),
    "compare": ("compare",),
    "simulate": ("simulate",),
    "benchmark": ("benchmark",),
}
WITH_DATA = ("train", "audit", "compare", "predict", "benchmark")  # are handed images
HELP = {"-h", *(dash + name for dash in ("-", "--") for name in ("help", "helpfull", "helpshort"))}
# What the machine refuses: a full disk, a quota, a folder that cannot be written to.
NOT_OURS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM}


def main(argv: Sequence[str]) -> int:
    """Runs the command line `argv` (with the program's name first); returns the exit code.

    0 where it ended well, 2 for a mistake of the user's, 130 where it was interrupted; an audit
    whose gate was asked for also gives 3 or 4 (see `statistics.verdict.gate`).
    """
    if HELP & set(argv[1:]):
        print(help_text(), end="")
        return 0
    try:
        config = parse(argv)
        check(config)
        if config.mode in WITH_DATA and config.data == str(demo.folder()):
            print(f"Without --data, this run uses the demo data of the package. {demo.WHAT}")
            demo.unpack()
    except UserError as error:
        print(f"ganfp: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    clock, code = Clock(), 0
    try:
        for step in steps(config):
            if step == "export" and config.mode == "train" and not config.saved_model:
                continue
            if step != "train" and not tf_config.leads(config):
                continue
            with clock.lap("import"):
                mode = importlib.import_module(f"ganfp_tf.modes.{step}")
            if step == "train":
                mode.run(config, clock)
            else:
                with clock.lap(step):
                    code = mode.run(config) or 0
        print(clock.summary())
    except UserError as error:
        print(f"ganfp: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in NOT_OURS:
            raise
        print(f"ganfp: {error.strerror}: {error.filename or 'while writing'}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ganfp: interrupted; the same command goes on from here.", file=sys.stderr)
        return 130
    return code


def steps(config: Config) -> tuple[str, ...]:
    """The modes that a command runs, one after the other."""
    if config.grid:
        return ("benchmark",)
    if config.mode == "benchmark" and config.measure == "speed":
        return ("speed",)
    return STEPS[config.mode]


def entry() -> None:
    """The console script `ganfp`."""
    sys.exit(main(sys.argv))


def parse(argv: Sequence[str]) -> Config:
    """Makes the Config of a command line.

    Settings come from the defaults, then from --config_json or, where a mode asks a trained model,
    from the run folder's config.json, then from the flags that are given.
    """
    values = flags.FlagValues()
    define_flags(values)
    try:
        rest = values(argv)
    except (flags.Error, UnicodeDecodeError) as error:
        raise UserError(_usage(error, values)) from error
    if len(rest) > 1:
        raise UserError(
            f"expected only --flags. Received: {rest[1]!r}. A folder of images is --data=FOLDER."
        )
    given = explicit_settings(values)
    base = Config()
    if values["config_json"].value:
        base = Config.from_json(values["config_json"].value)
    mode = given.get("mode", base.mode)
    run_dir = given.get("run_dir", base.run_dir)
    if mode == "compare":
        _refuse_one_system(given)
    stored = Path(run_dir) / "config.json"
    anew = mode in NEW_RUN and given.get("overwrite")
    if mode != "train" and run_dir and stored.exists() and not anew:
        base = Config.from_json(stored)
        _refuse_changes(base, given, run_dir, mode)
        base = dataclasses.replace(base, run_dir=run_dir, mode=mode, saved_model=True)
        if mode != "compare":
            base = dataclasses.replace(base, ablate=False, systems=Config.systems)
        if mode not in ("simulate", "benchmark", "audit"):
            base = base.without_detectors()
        # A run's own images are not what an unlabelled set is; --data names that one. The demo
        # data has its own.
        if mode == "predict" and base.data != str(demo.folder()):
            base = dataclasses.replace(base, data="")
    config = Config.from_dict({**base.to_dict(), **given})
    # An empty --data= is a variable that somebody forgot to set, not a wish for the demo.
    asks_data = config.mode in NEW_RUN and config.mode in WITH_DATA and not config.suspects
    if asks_data and not config.data and "data" not in given and demo.is_there():
        config = dataclasses.replace(config, data=str(demo.folder()))
    return config


def check(config: Config) -> None:
    """Raises `UserError` where the settings do not fit together, before anything slow is done."""
    check_rules(config)
    config.check_shadows()
    config.check_audit()
    config.check_scale()
    tf_config.check(config)
    if config.mode == "compare":
        plan(config)
    if config.mode == "simulate" and config.data:
        raise UserError(
            "--mode=simulate makes data: its real images are --real=FOLDER. Leave --data out."
        )
    _check_detectors(config)
    if config.grid and any(victim.config.shadows for victim in grid.plan(config)):
        raise UserError("--grid makes victims, no shadows: leave shadows out of it.")
    asks_a_run = config.mode not in NEW_RUN and not config.predictions
    if asks_a_run and not config.run_dir:
        raise UserError(f"--mode={config.mode} needs --run_dir, the folder of a trained run.")
    if asks_a_run and not (Path(config.run_dir) / "config.json").exists():
        found = "has no config.json" if Path(config.run_dir).is_dir() else "is not a folder"
        raise UserError(f"--run_dir: {config.run_dir} {found}. Train first, or name another.")
    if config.mode in WITH_DATA and not config.data:
        raise UserError(NO_DATA)


def _usage(error, values):
    """What absl says of a wrong command line, in the words of our own messages."""
    if isinstance(error, flags.UnrecognizedFlagError):
        near = difflib.get_close_matches(error.flagname, [*values, "flagfile"], n=1)
        hint = f"Did you mean --{near[0]}?" if near else "--help lists all flags."
        return f"there is no flag --{error.flagname}. {hint}"
    cause = error.__context__
    if isinstance(error, flags.CantOpenFlagFileError) and isinstance(cause, OSError):
        return f"--flagfile: cannot read {cause.filename}: {cause.strerror}."
    if isinstance(error, UnicodeDecodeError):
        return "--flagfile: the file is not UTF-8 text. Expected one --flag=value a line."
    head, text = "flag --", str(error)
    if isinstance(error, flags.IllegalFlagValueError) and cause and text.startswith(head):
        name, received = text[len(head) :].removesuffix(f": {cause}").split("=", 1)
        expected = type(values[name].default).__name__
        return f"--{name} must be {expected}. Received: {received!r}"
    return text


def _check_detectors(config):
    if config.mode in ("benchmark", "audit") or config.grid:
        # Brings scikit-learn, which --help and the other modes need not wait for.
        from ganfp_tf.detectors import registry
        from ganfp_tf.detectors.shadows import folders

        registry.parse_detectors(config.detectors, config.shadow)
        folders.parse_paths(config.shadow)


def _refuse_one_system(given):
    named = [f"--{name}" for name in ("backbone", "cross_attention") if name in given]
    if named:
        raise UserError(
            f"--mode=compare takes its networks from --systems, such as resnet50,resnet50_ca; "
            f"leave {' and '.join(named)} out."
        )


def _refuse_changes(base, given, run_dir, mode):
    # Other images may be predicted, read in another way; a run's own are what they were.
    bound = {"model"} if mode == "predict" else {"model", "data"}
    fields = {field.name: field for field in dataclasses.fields(Config)}
    changed = [
        name
        for name, value in given.items()
        if (fields[name].metadata["role"] in bound or (name == "data" and mode != "predict"))
        and value != getattr(base, name)
    ]
    if changed:
        names = ", ".join(f"--{name} (trained with {getattr(base, name)!r})" for name in changed)
        raise UserError(
            f"{run_dir} holds a trained model whose settings cannot be changed: {names}. Leave "
            "them out, or train another run."
        )
