"""The published file that a backbone starts from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

_SCHEMES = ("https", "http", "file")


@dataclass(frozen=True)
class PublishedSpec:
    """Weights as others published them: safetensors, or a torch file that holds tensors alone.

    Raises:
        ValueError: fields that do not go together; each line of the message names one.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    file: str | None = None
    """A file on this machine; the network is never asked."""
    url: str | None = None
    """Where the file is downloaded from, once, into cache/weights/ beside runs/."""
    sha256: str | None = None
    """64 hex digits of the file's content, as sha256sum prints them; a url needs them."""
    classes: str | None = None
    """File with the names of its classifier's classes, one a line; by default class_0 and so on."""

    def __post_init__(self) -> None:
        problems = []
        if (self.file is None) == (self.url is None):
            found = "neither" if self.file is None else "both"
            problems.append(f"file: found {found} of file and url; expected one of them")
        if self.url is not None and (
            urlsplit(self.url).scheme not in _SCHEMES or not urlsplit(self.url).path
        ):
            problems.append(f"url: found {self.url!r}; expected https://HOST/PATH or file:///PATH")
        if self.url is not None and self.sha256 is None:
            problems.append("sha256: missing; a url needs the file's 64 hex digits, which sha256sum prints")
        if self.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            problems.append(f"sha256: found {self.sha256!r}; expected 64 of the digits 0-9 and a-f")
        if problems:
            raise ValueError("\n".join(problems))
