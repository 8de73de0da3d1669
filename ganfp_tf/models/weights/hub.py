"""Files at the Hugging Face hub: its cache first, then the hub, a quick answer without a network.

Nothing here imports Keras.
"""

import contextlib
import dataclasses
import pathlib
import threading
import urllib.request

from ganfp_tf.errors import UserError

ONLINE_SECONDS = 4.0


@dataclasses.dataclass(frozen=True)
class HubFile:
    """A file of a public repository; `HF_HOME`, `HF_HUB_CACHE` and `HF_ENDPOINT` are respected."""

    repository: str
    name: str

    def find(self) -> pathlib.Path:
        """The path of the file in the hub's cache, downloaded where it is not there yet.

        Raises:
            UserError: not in the cache and no way to the hub.
        """
        # Here, because no other source of weights needs it.
        import huggingface_hub
        from huggingface_hub import constants

        cached = huggingface_hub.try_to_load_from_cache(self.repository, self.name)
        if isinstance(cached, str):
            return pathlib.Path(cached)
        url = huggingface_hub.hf_hub_url(self.repository, self.name)
        elsewhere = f"Download {url} elsewhere and hand it in with --weights=PATH"
        # The library would try again for minutes.
        if constants.HF_HUB_OFFLINE or not is_reachable(url):
            raise UserError(
                f"{self.name} of {self.repository} is not in the cache {constants.HF_HUB_CACHE}, "
                f"and the Hugging Face hub cannot be reached. {elsewhere}"
            )
        try:
            return pathlib.Path(
                huggingface_hub.hf_hub_download(
                    self.repository, self.name, etag_timeout=ONLINE_SECONDS
                )
            )
        except Exception as error:  # Of the network, the hub, the disk: many kinds.
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise UserError(
                f"the download of {self.name} of {self.repository} failed ({reason}). {elsewhere}"
            ) from None


def is_reachable(url: str, seconds: float = ONLINE_SECONDS) -> bool:
    """Does a HEAD request to `url` succeed? Answers within `seconds`, proxies included.

    In a thread, because looking up a host's name knows no timeout.
    """
    answers = []

    def ask():
        request = urllib.request.Request(url, method="HEAD")
        with (
            contextlib.suppress(Exception),
            urllib.request.urlopen(request, timeout=seconds) as reply,
        ):
            answers.append(reply.status)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers == [200]
