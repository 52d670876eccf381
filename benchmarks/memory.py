"""Peak memory of inputs, targets and distillation against the number of images: it must not grow with it.

Each count runs in a process of its own; peak resident memory of that process, children not included (each renders
one picture at a time). A small teacher keeps it quick; its size does not depend on the count.

    python benchmarks/memory.py            # 64 and 512 images
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TEACHER = {
    "family": "kstylegan", "channels": [16, 16, 32, 32, 32], "blocks": [1, 1, 1, 1], "render_blocks": [1, 1, 1],
    "coefficients": 8, "style_channels": 16, "size": 128,
}  # fmt: skip
TRAINED = 128
"""Images of the distillation: the same for every count, so that only the data grows."""


def peak_mb(count: int) -> float:
    """Run the stages on `count` rendered faces in this process; returns its peak resident memory in MB."""
    import teachers
    from compress.artifact import Artifact
    from compress.context import Context, Progress
    from compress.recipe import InputSettings, StudentSettings, TeacherSettings
    from compress.stages import distill, inputs, targets
    from compress.steps import DistillStep

    context = Context(progress=Progress(interactive=False))
    with tempfile.TemporaryDirectory() as name:
        folders = {stage: Path(name) / stage for stage in ("inputs", "targets", "distill")}
        for folder in folders.values():
            folder.mkdir()
        weights = Path(name) / "teacher.safetensors"
        teachers.save(teachers.build(TEACHER), weights)
        inputs.run(InputSettings(rendered=count, rendered_seed=1), {}, folders["inputs"], context)
        made = {"inputs": Artifact(folders["inputs"], {})}
        targets.run(TeacherSettings(network=str(weights)), made, folders["targets"], context)
        made["targets"] = Artifact(folders["targets"], {})
        student = StudentSettings(width=16, core_resolution=64, blocks=2)
        step = DistillStep(images=TRAINED, learning_rate=1e-3, weights={"pixel": 10, "haar": 5}, student=student)
        distill.run(step, made, folders["distill"], context)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each count in a fresh process and print the ratio of the largest to the smallest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[64, 512], help="numbers of images")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(f"peak {peak_mb(options.one)}")
        return
    peaks = {}
    for count in options.counts:
        command = [sys.executable, __file__, "--one", str(count)]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        peaks[count] = float(printed.split()[-1])
        print(f"{count:6d} images   {peaks[count]:7.0f} MB")
    print(f"ratio           {max(peaks.values()) / min(peaks.values()):7.2f}")


if __name__ == "__main__":
    main()
