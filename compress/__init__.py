"""kcompress: turns a heavy 3D-cartoon face stylisation network into small int8 students, one per device tier.

Importing this package imports nothing heavy; the work is in `compress.stages`, the order of it in `compress.plan` and
`compress.run`. It holds no networks: those are the sibling packages `teachers` and `students`.
"""

from __future__ import annotations

__version__ = "0.2.0"
