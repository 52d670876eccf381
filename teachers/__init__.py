"""Teachers that ship with kcompress: look-up, construction from a record, loading and saving of weights.

Weights are safetensors with the architecture record in their metadata; nothing is unpickled. Does not cover training.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from teachers.kstylegan import Architecture, KStyleGAN, TeacherOutput

__all__ = ["SHIPPED", "Architecture", "KStyleGAN", "TeacherOutput", "add_styles", "build", "load", "save"]

SHIPPED: dict[str, Path] = {"kstylegan-128": Path(__file__).parent / "weights" / "kstylegan-128.safetensors"}
NEW_STYLE_NOISE = 0.1
"""Of a new style's code, relative to the first style's."""


def build(record: dict[str, Any]) -> KStyleGAN:
    """Build the network that `record` describes, with fresh weights.

    Raises ValueError if the family is unknown, a field is unknown, or a value is out of range.
    """
    if record.get("family") != "kstylegan":
        raise ValueError(f"teacher architecture: family {record.get('family')!r} is unknown; known: 'kstylegan'")
    known = {f.name for f in fields(Architecture)}
    if unknown := sorted(set(record) - known - {"family"}):
        names = ", ".join(unknown)
        raise ValueError(f"teacher architecture: unknown fields {names}; known: {', '.join(sorted(known))}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k != "family"}
    return KStyleGAN(Architecture(**values))


def load(name_or_path: str | Path, device: str | torch.device = "cpu") -> KStyleGAN:
    """Load a shipped teacher by name, or any checkpoint by path; float32, in evaluation mode, on `device`.

    Raises ValueError if the name is unknown, the file is no safetensors file, has no architecture in its metadata,
    or its tensors do not fit the architecture.
    """
    path = SHIPPED.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise ValueError(f"teacher {name_or_path}: neither a shipped teacher ({', '.join(SHIPPED)}) nor a file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ValueError(f"teacher {path}: not a readable safetensors file ({error})") from error
    if "architecture" not in metadata:
        raise ValueError(f"teacher {path}: no 'architecture' in the metadata; save it with teachers.save")
    network = build(json.loads(metadata["architecture"]))
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        problem = str(error).splitlines()[1].strip()
        raise ValueError(f"teacher {path}: tensors do not fit its architecture: {problem}") from error
    return network.eval().to(device)


def add_styles(network: KStyleGAN, styles: Sequence[str]) -> None:
    """Make `styles` those of `network`: the ones that it has must come first and in its order.

    A new style starts as the first one with a little noise, so that the network draws it at once and learns to tell it
    apart. Raises ValueError for styles that do not begin with its own.
    """
    own, wanted = network.architecture.styles, tuple(styles)
    if wanted[: len(own)] != own:
        raise ValueError(f"styles {', '.join(own)} are not the first of {', '.join(wanted)}; name them first, in order")
    codes = network.style.codes.weight.data
    added = codes[:1].repeat(len(wanted) - len(own), 1)
    added += NEW_STYLE_NOISE * codes[:1].square().mean().sqrt() * torch.randn(added.shape).to(added)
    network.style.codes = nn.Embedding(len(wanted), codes.shape[1], _weight=torch.cat([codes, added]))
    network.architecture = replace(network.architecture, styles=wanted)


def save(network: KStyleGAN, path: Path, dtype: torch.dtype = torch.float16, **metadata: str) -> None:
    """Write weights as `dtype` with the architecture record and any further `metadata` (text) to a safetensors
    file.
    """
    weights = {k: v.detach().to("cpu", dtype).contiguous() for k, v in network.state_dict().items()}
    save_file(weights, path, metadata={"architecture": json.dumps(network.record), **metadata})
