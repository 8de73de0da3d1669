"""--runner and --runner_options -> a Beam runner and its options."""

import difflib
import inspect
import shlex
from typing import NoReturn

from apache_beam.options import pipeline_options
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners import PipelineRunner, create_runner
from apache_beam.runners.portability.fn_api_runner import fn_runner
from apache_beam.runners.portability.portable_runner import JobServiceHandle

from ganfp_tf.errors import UserError

KNOWN = pipeline_options.StandardOptions.KNOWN_RUNNER_NAMES
LOCAL = pipeline_options.StandardOptions.LOCAL_RUNNERS
# What Beam's own DirectRunner hands a pipeline to when it does not fetch a program to run it.
IN_PROCESS = ("DirectRunner", "SwitchingDirectRunner", "FnApiRunner")


class _Parser(pipeline_options._BeamArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(f"--runner_options: {message}.")


def open_runner(runner: str, text: str) -> tuple[PipelineRunner, pipeline_options.PipelineOptions]:
    """Makes the runner of --runner, and its options.

    Args:
        runner: --runner, a name of `KNOWN` or the full name of a class.
        text: --runner_options.

    Returns:
        `(apache_beam runner, PipelineOptions)`.

    Raises:
        UserError: there is no such runner, or a local one has no such option. Options of a cluster
            are left to its job server, which alone knows them all.
    """
    name = _known(runner)
    options = _options(text, name)
    if name in IN_PROCESS:
        encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
        provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
        return fn_runner.FnApiRunner(
            provision_info=fn_runner.ExtendedProvisionInfo(provision)
        ), options
    try:
        return create_runner(name), options
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(f"--runner={runner} cannot be had: {error}.") from error


def _known(runner):
    for name in KNOWN:
        if runner.lower() in (name.lower(), name.lower().removesuffix("runner")):
            return name
    if "." in runner:  # the full name of a class
        return runner
    near = difflib.get_close_matches(runner, KNOWN, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise UserError(f"--runner must be one of {', '.join(KNOWN)}. Received: {runner!r}.{hint}")


def _options(text, runner):
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"--runner_options: {error}. Received: {text!r}") from error
    parser = _Parser(allow_abbrev=False, add_help=False)
    for group in {str(group): group for group in _groups()}.values():
        group._add_argparse_args(parser)
    known, unknown = parser.parse_known_args(words)
    if known.runner:
        raise UserError("--runner_options: the runner is named by --runner, not by an option.")
    if unknown and runner in LOCAL:
        names = [word for action in parser._actions for word in action.option_strings]
        near = difflib.get_close_matches(unknown[0].split("=")[0], names, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise UserError(f"--runner_options: {runner} has no {unknown[0]}.{hint}")
    if known.direct_running_mode == "multi_processing" and runner in IN_PROCESS:
        # Beam's local runner waits for ever for a worker process that has died.
        raise UserError(
            "--runner_options: on one machine the pipeline runs in threads. Pass "
            "--direct_running_mode=multi_threading, or name the runner of a cluster by --runner."
        )
    if known.direct_num_workers != 1 and known.direct_running_mode == "in_memory":
        raise UserError(
            "--runner_options: --direct_num_workers needs --direct_running_mode=multi_threading."
        )
    # pickled by name: workers import the package.
    return pipeline_options.PipelineOptions(words, runner=runner)


def _groups():
    found = pipeline_options.PipelineOptions.__subclasses__()
    return [group for group in found if not inspect.isabstract(group)]
