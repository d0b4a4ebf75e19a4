"""The decoder child: `python -m talaria.data.decoding_child PARENT_PID`, started by `decoder_process`.

Requests arrive as JSON lines on standard input; answers leave on standard output as HEADER and payload. It
imports little, so that it starts in a moment, and it ends with its parent.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from typing import Any, BinaryIO

from talaria.data.decoding_messages import (
    ERROR,
    FRAMES,
    HEADER,
    PROBE,
    READY,
    SUMMARY,
    DecodedSummary,
    VideoRequest,
)
from talaria.data.video import decode_video, probe_video
from talaria.errors import DataError

_PARENT_CHECK_S = 1.0


def main() -> None:
    """Answer requests until the input closes or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes our input
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with the answers
    try:
        _send(answers, READY)
        for line in sys.stdin.buffer:
            _answer(answers, VideoRequest(**json.loads(line)))
    except BrokenPipeError:
        os._exit(0)


def _answer(answers: BinaryIO, request: VideoRequest) -> None:
    try:
        if request.fps is None:
            _send(answers, PROBE, _json(probe_video(request.path)))
            return
        start_s = time.process_time()
        for item in decode_video(request, request.fps):
            if isinstance(item, DecodedSummary):
                item.cpu_s = time.process_time() - start_s
                _send(answers, SUMMARY, _json(item))
            else:
                _send(answers, FRAMES, item.data.cast("B"))
    except DataError as error:
        _send(answers, ERROR, str(error).encode(errors="surrogateescape"))
    except BrokenPipeError:
        raise
    except Exception as error:  # whatever a broken file does to a codec, its video is at fault, not the run
        problem = f"{request.path}: decoding failed ({type(error).__name__}: {error})"
        _send(answers, ERROR, problem.encode(errors="surrogateescape"))


def _send(answers: BinaryIO, kind: bytes, payload: bytes | memoryview = b"") -> None:
    answers.write(HEADER.pack(kind, len(payload)))
    answers.write(payload)
    answers.flush()


def _json(result: Any) -> bytes:
    return json.dumps(dataclasses.asdict(result)).encode()


def _end_with(parent_pid: int) -> None:
    """Leave as soon as the parent is gone, even while a codec hangs."""
    while os.getppid() == parent_pid:
        time.sleep(_PARENT_CHECK_S)
    os._exit(0)


if __name__ == "__main__":
    main()
