"""kcompress: turns a heavy 3D-cartoon face stylisation network into small int8 students, one per device tier.

Importing this package imports nothing heavy. The main flow is `cli` -> `plan` -> `run`, which executes `stages`; these
use, in the order of the line:

    planning      a recipe file is read, checked, surveyed
    faces         rendered people; photographs: those of the user
    teaching      teachers of any kind, and the training of one
    training      what all trainings share
    shrinking     pruning and quantization
    exporting     ONNX files
    judging       measuring and gates
    reporting     pages, comparisons, forms for build servers
    networks      pretrained networks that judge and supervise

It holds no networks of its own: those are the sibling packages `teachers` and `students`.
"""

from __future__ import annotations

__version__ = "0.10.0"
