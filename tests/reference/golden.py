"""A golden folder: deterministic weights, seeded inputs and the published implementation's outputs.

The format and the fill rule are described in the README.md of the goldens' folder.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class Golden:
    """One folder `ROOT/<name>` with its manifest and its stored outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())

    @property
    def config(self) -> dict[str, Any]:
        return self.manifest["config"]

    def stored(self, key: str) -> np.ndarray:
        """Array `key` of outputs.npz, as stored (sub-sampled where its manifest entry says so)."""
        with np.load(self.folder / "outputs.npz") as arrays:
            return arrays[key]

    def state(self, layout: Mapping[str, Any] | None = None) -> dict[str, np.ndarray]:
        """Weights under the published keys, checked against the manifest's digest."""
        manifest = self.manifest
        layout = manifest["layout"] if layout is None else layout
        computed = set(manifest.get("computed", ()))
        state = {
            key: filled(key, shape, manifest["gain"], manifest["salt"])
            for key, (shape, dtype) in layout.items()
            if key not in computed and dtype.startswith(("float", "bfloat", "half"))
        }
        if "state_sha256" in manifest:
            digest = hashlib.sha256()
            for array in state.values():
                digest.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
            assert digest.hexdigest() == manifest["state_sha256"], "the fill differs from the contract"
        return state

    def input(self, name: str) -> np.ndarray:
        """A named input: stored, or drawn from its seed and checked against its digest."""
        spec = self.manifest["inputs"][name]
        if "stored" in spec:
            return self.stored(spec["stored"])
        rng = np.random.Generator(np.random.PCG64(int(spec["seed"])))
        drawn = rng.standard_normal(tuple(spec["shape"])).astype(np.float32)
        if "sha256" in spec and spec["how"] == "standard_normal":
            assert hashlib.sha256(drawn.tobytes()).hexdigest() == spec["sha256"], f"input {name} differs"
        return drawn

    def assert_output(self, name: str, mine: np.ndarray) -> None:
        """`mine`, in the full shape of the manifest, agrees within the golden's tolerance."""
        spec = self.manifest["outputs"][name]
        assert list(mine.shape) == spec["shape"], f"{self.name}/{name}: {list(mine.shape)} != {spec['shape']}"
        flat = mine.reshape(-1)[:: spec["flat_stride"]] if "flat_stride" in spec else mine
        want = self.stored(name)
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(flat, want, err_msg=f"{self.name}/{name}")
            return
        limit = self.manifest["tolerance"]["rel"] * spec.get("absmax", 1.0)
        worst = float(np.max(np.abs(flat.astype(np.float64) - want))) if want.size else 0.0
        assert worst <= limit, f"{self.name}/{name}: max error {worst:.3g}, limit {limit:.3g}"


def filled(key: str, shape: list[int], gain: float, salt: str) -> np.ndarray:
    """The deterministic value of one parameter, by the published key it is stored under."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32((salt + key).encode())))
    draw = np.asarray(rng.standard_normal(tuple(int(size) for size in shape)))
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "running_var":
        value = 1.0 + 0.1 * np.abs(draw)
    elif leaf == "running_mean" or leaf.endswith("bias"):
        value = 0.1 * draw
    elif leaf.endswith("weight"):
        value = 1.0 + 0.1 * draw if len(shape) <= 1 else draw * (gain / np.sqrt(float(np.prod(shape[1:]))))
    else:
        value = (0.2 if len(shape) >= 2 else 0.1) * draw
    return np.ascontiguousarray(value.astype(np.float32))
