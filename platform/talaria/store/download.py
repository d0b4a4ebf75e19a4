"""One file from the network into a cache: checked by its SHA-256, resumed where it was cut off."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from talaria import __version__
from talaria.errors import DataError

_BLOCK_BYTES = 1 << 20
_SILENCE_S = 30.0
_WAITS_S = (1.0, 2.0, 4.0, 8.0)
_FOR_NOW = (408, 425, 429)  # of the 4xx answers, those that may be others later
_TEMPORARY = (OSError, http.client.HTTPException)

OnProgress = Callable[[int, int], None]
"""Called with the bytes that are there and those expected in all, 0 where the server does not say."""


def fetch(
    url: str,
    sha256: str,
    cache: Path,
    setting: str,
    on_progress: OnProgress = lambda done, total: None,
    waits_s: Sequence[float] = _WAITS_S,
) -> Path:
    """The file behind `url`, from the cache if it is there: then nothing is asked of the network.

    What a broken connection left is kept in `<name>.part` and gone on with, by this call or a later one.

    Args:
        url: https, http or file.
        sha256: 64 hex digits of the content.
        cache: folder of the cache; the file lies in `<cache>/<sha256>/`.
        setting: where the recipe says all this, for errors.
        on_progress: told after each block.
        waits_s: pauses before further attempts; an attempt that brought something starts them anew.

    Raises:
        DataError: there is no such file, the connection fails again and again, or the content is another.
    """
    path = cache / sha256 / _file_name(url)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with part.open("a+b") as file:
        _lock(file, part)
        if path.is_file():  # another process had the lock
            return path
        resumed = file.seek(0, os.SEEK_END) > 0
        _complete(file, url, setting, on_progress, waits_s)
        if resumed and file_sha256(part) != sha256:  # the file may be another one by now
            file.truncate(0)
            _complete(file, url, setting, on_progress, waits_s)
        if (found := file_sha256(part)) != sha256:
            file.truncate(0)
            raise DataError(
                f"{url}: found a file with sha256 {found}, expected {sha256}; correct {setting}.sha256 if "
                f"you trust this file, or {setting}.url"
            )
        os.fsync(file.fileno())
        os.replace(part, path)
    return path


def file_sha256(path: Path) -> str:
    """64 hex digits of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _complete(
    file: IO[bytes], url: str, setting: str, on_progress: OnProgress, waits_s: Sequence[float]
) -> None:
    """Append what is missing of the file, in as many attempts as it takes."""
    waits = iter(waits_s)
    while True:
        before = file.seek(0, os.SEEK_END)
        try:
            _attempt(file, url, on_progress)
            return
        except _TEMPORARY as error:
            reason = _reason(error)
            if _final(error, url):
                raise DataError(f"{url}: cannot be read ({reason}); correct {setting}.url") from None
        have = file.seek(0, os.SEEK_END)
        if have > before:
            waits = iter(waits_s)
        wait_s = next(waits, None)
        if wait_s is None:
            raise DataError(
                f"{url}: cannot be downloaded ({reason}); try again, which goes on from byte {have}, or "
                f"download it elsewhere and set {setting}.file"
            )
        time.sleep(wait_s)


def _attempt(file: IO[bytes], url: str, on_progress: OnProgress) -> None:
    have = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": f"talaria/{__version__}"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_SILENCE_S)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if _total_of(error.headers.get("Content-Range")) != have:
            file.truncate(0)
            raise ConnectionError(f"what was there, {have} bytes, is no beginning of the file") from None
        return
    with response:
        if have and _first_of(response.headers.get("Content-Range")) != have:
            file.truncate(0)  # the server sends the whole file again
            have = 0
        size = response.headers.get("Content-Length")
        total = have + int(size) if size else 0
        for block in _blocks(response):
            file.write(block)
            have += len(block)
            on_progress(have, total)
        file.flush()
    if have < total:
        raise ConnectionError(f"the connection ended after {have} of {total} bytes")


def _blocks(response: Any) -> Iterator[bytes]:
    while block := response.read(_BLOCK_BYTES):
        yield block


def _lock(file: IO[bytes], part: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise DataError(f"{part}: another process downloads this file; wait until it has ended") from None


def _file_name(url: str) -> str:
    """The last part of the path, as a plain name."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    return re.sub(r"[^\w.-]|^\.+", "_", name)[-100:] or "weights"


def _first_of(content_range: str | None) -> int | None:
    """`bytes 100-199/200` -> 100."""
    found = re.match(r"bytes (\d+)-", content_range or "")
    return int(found[1]) if found else None


def _total_of(content_range: str | None) -> int | None:
    """`bytes */200` -> 200."""
    found = re.search(r"/(\d+)$", content_range or "")
    return int(found[1]) if found else None


def _final(error: Exception, url: str) -> bool:
    """Whether another attempt would end the same way."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code < 500 and error.code not in _FOR_NOW
    return urlsplit(url).scheme == "file"


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    inner = getattr(error, "reason", error)
    return " ".join(str(inner).split()) or type(inner).__name__
