"""Worker processes of Beam's local runner that are watched: when one dies, the pipeline ends.

Beam 2.77 notices a dead process in the thread that started it, which then ends; the pipeline waits
for its answer for ever. Importing this module puts `WatchedWorker` into Beam's table of workers, in
the place of `SubprocessSdkWorkerHandler`.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import threading

from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from google.protobuf import json_format, text_format

import ganfp_tf

COMMAND = [sys.executable, "-m", "apache_beam.runners.worker.sdk_worker_main"]
PATIENCE = 10.0  # seconds that an idle worker is given to end by itself


class WorkerDied(RuntimeError):
    """A worker process ended before the pipeline did."""


@dataclasses.dataclass
class Team:
    """The worker processes of one pipeline.

    Attributes:
        folder: what they print goes into worker_<number>.log there.
        died: a `WorkerDied` of each that ended unasked.
    """

    folder: pathlib.Path
    died: list = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def at_work(self):
        """Makes the workers that are started meanwhile members of this team."""
        self.folder.mkdir(parents=True, exist_ok=True)
        WatchedWorker.team = self
        try:
            yield self
        finally:
            WatchedWorker.team = None


@worker_handlers.WorkerHandler.register_environment(python_urns.SUBPROCESS_SDK, bytes)
class WatchedWorker(worker_handlers.GrpcWorkerHandler):
    """One worker process.

    Args:
        command: the one that Beam would run, which does not quote Python's path; left aside.
        state, provision_info, grpc_server: as of `GrpcWorkerHandler`.
    """

    team = None  # Beam makes the workers, and has no place to hand this in.

    def __init__(self, command, state, provision_info, grpc_server):
        super().__init__(state, provision_info, grpc_server)
        self._closing, self._killed = threading.Event(), False

    def start_worker(self):
        """Starts the process, and a thread that waits for its end."""
        options = json.loads(
            json_format.MessageToJson(self.provision_info.provision_info.pipeline_options)
        )
        services = {
            "CONTROL_API_SERVICE_DESCRIPTOR": self.control_api_service_descriptor(),
            "LOGGING_API_SERVICE_DESCRIPTOR": self.logging_api_service_descriptor(),
        }
        described = {key: text_format.MessageToString(value) for key, value in services.items()}
        # The package may not be installed, but started from its folder.
        package = str(pathlib.Path(ganfp_tf.__file__).parents[1])
        path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
        environment = os.environ | described | {
            "PIPELINE_OPTIONS": json.dumps(options), "WORKER_ID": self.worker_id,
            "PYTHONPATH": path,
        }  # fmt: skip
        with open(self.team.folder / f"{self.worker_id}.log", "wb") as log:
            self._process = subprocess.Popen(
                COMMAND, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._watch = threading.Thread(target=self._wait, name="watch_worker", daemon=True)
        self._watch.start()

    def _wait(self):
        code, error = self._process.wait(), "ended"
        asked = self._killed or (code == 0 and self._closing.is_set())
        if not asked:
            log = self.team.folder / f"{self.worker_id}.log"
            error = f"a worker process, {self._process.pid}, ended with code {code}; see {log}"
            self.team.died.append(WorkerDied(error))
        # Again and again: whoever asks it after its death would wait as well.
        while not self._closing.wait(0.2):
            for name, future in list(self.control_conn._futures_by_id.items()):
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=error))

    def close(self):
        """Ends the process: an idle one by its own end, a busy one, which nobody waits for now."""
        self._closing.set()
        if self.control_conn._futures_by_id:
            self._kill()
        ending = threading.Timer(PATIENCE, self._kill)
        ending.start()
        try:
            super().close()
        finally:
            ending.cancel()

    def _kill(self):
        if self._process.poll() is None:
            self._killed = True
            self._process.kill()

    def stop_worker(self):
        """Waits for the process."""
        self._watch.join()
