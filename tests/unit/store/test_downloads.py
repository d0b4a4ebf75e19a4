"""Downloads: what a server or a connection may do, and that nothing but the right content gets a name."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from range_server import Site, serving

from talaria.errors import DataError
from talaria.store.download import fetch

CONTENT = random.Random(0).randbytes(3_000_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NO_WAIT = (0.0, 0.0)


@pytest.fixture
def site() -> Iterator[Site]:
    with serving(Site(CONTENT)) as running:
        yield running


def fetched(site: Site, cache: Path, sha256: str = SHA256) -> Path:
    return fetch(site.url, sha256, cache, "backbones.slow.published", waits_s=NO_WAIT)


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.rglob("*") if path.is_file())


def test_a_file_is_downloaded_once(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(site.url, SHA256, tmp_path, "x", lambda done, total: seen.append((done, total)))
    assert path == tmp_path / SHA256 / "tiny_net.pt"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert fetched(site, tmp_path) == path
    assert site.asked == [""]
    assert names(tmp_path) == ["tiny_net.pt"]


def test_a_cached_file_needs_no_server(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as site:
        path = fetched(site, tmp_path)
    assert fetched(site, tmp_path) == path


def test_a_broken_connection_is_gone_on_with(site: Site, tmp_path: Path) -> None:
    site.cut_after = [1_000_000, 500_000]
    assert fetched(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["", "bytes=1000000-", "bytes=1500000-"]


def test_a_later_call_goes_on_from_what_an_earlier_one_left(site: Site, tmp_path: Path) -> None:
    site.cut_after = [100_000, 0, 0]
    with pytest.raises(DataError, match=r"go\w+ on from byte 100000, .* backbones\.slow\.published\.file"):
        fetched(site, tmp_path)
    assert names(tmp_path) == ["tiny_net.pt.part"]
    assert fetched(site, tmp_path).read_bytes() == CONTENT
    assert site.asked[-1] == "bytes=100000-"
    assert names(tmp_path) == ["tiny_net.pt"]


def test_a_server_without_ranges_sends_the_whole_file_again(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cut_after = False, [1_000_000]
    assert fetched(site, tmp_path).read_bytes() == CONTENT
    assert site.asked == ["", "bytes=1000000-"]


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more", b"another file", b"?" * len(CONTENT)])
def test_whatever_was_left_over_the_content_is_right_in_the_end(
    site: Site, tmp_path: Path, left: bytes
) -> None:
    part = tmp_path / SHA256 / "tiny_net.pt.part"
    part.parent.mkdir()
    part.write_bytes(left)
    assert fetched(site, tmp_path).read_bytes() == CONTENT


def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.busy = 2
    assert fetched(site, tmp_path).read_bytes() == CONTENT
    site.busy = 3
    with pytest.raises(DataError, match="the server answers 503"):
        fetched(site, tmp_path / "other")


def test_another_content_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    wanted = "0" * 64
    with pytest.raises(DataError) as refused:
        fetched(site, tmp_path, wanted)
    for part in (site.url, f"sha256 {SHA256}", f"expected {wanted}", "backbones.slow.published.sha256"):
        assert part in str(refused.value)
    assert [path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()] == [0]


def test_a_wrong_path_is_said_at_once(site: Site, tmp_path: Path) -> None:
    site.url = site.url.replace("tiny%20net.pt?download=1", "absent")
    with pytest.raises(
        DataError, match=r"server answers 404 Not Found.*correct backbones\.slow\.published\.url"
    ):
        fetched(site, tmp_path)
    assert site.asked == [""]


def test_nobody_listens(tmp_path: Path) -> None:
    with serving(Site(CONTENT)) as site:
        pass
    with pytest.raises(DataError, match="refused"):
        fetched(site, tmp_path)


def test_a_file_url_is_read_from_this_machine(tmp_path: Path) -> None:
    source = tmp_path / "net.pth"
    source.write_bytes(CONTENT)
    cache = tmp_path / "cache"
    assert fetch(source.as_uri(), SHA256, cache, "x").read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"No such file.*correct x\.url"):
        fetch((tmp_path / "absent").as_uri(), SHA256, cache, "x")


def test_two_downloads_of_one_file_do_not_mix(site: Site, tmp_path: Path) -> None:
    import fcntl

    part = tmp_path / SHA256 / "tiny_net.pt.part"
    part.parent.mkdir()
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DataError, match="another process downloads this file"):
            fetched(site, tmp_path)
    assert fetched(site, tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["..", "%2e%2e", "a/.hidden", "x/%2Fetc%2Fpasswd", ""])
def test_the_name_in_the_cache_is_a_plain_one(site: Site, tmp_path: Path, path: str) -> None:
    site.url = f"{site.url.rpartition('/models')[0]}/models/{path}"
    found = fetched(site, tmp_path)
    assert found.parent == tmp_path / SHA256
    assert not found.name.startswith(".")
