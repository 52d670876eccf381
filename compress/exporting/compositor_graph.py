"""What surrounds the core in an ONNX file of the whole student, for any H and W: downsampling, and the compositor.

The same functions as `students.compositor` and `students.rgb`, written in ONNX's text form, so that they cost what
they must and not what an exporter makes of them. Bilinear upsampling is linear along each axis, so it is rows @ maps
@ columns, at the speed of matrix multiplication. The sampling grid comes out of the same product, interleaved (x, y)
and with the pixel centres added. The warp is zero-padded on a grid clamped to the outermost pixel centres, which
equals border padding: ONNX Runtime 1.31 has a fast kernel for that form only (5 against 19 ms at 512 px). Not
covered: the core (onnx_files.py).
"""

from __future__ import annotations

import onnx
import onnx.compose
import onnx.parser

OPSET_OF_LINEAR = 20  # GridSample calls bilinear "linear" from here on
STRIPS = 4

DOWNSAMPLE = """
<ir_version: 10, opset_import: ["" : {opset}]>
downsample (float[batch, 3, height, width] photo) => (float[batch, 3, {side}, {side}] low)
<int64[2] low_size = {{{side}, {side}}}>
{{
    low = Resize <mode = "linear", antialias = 1, exclude_outside = 1, axes = [2, 3]> (photo, , , low_size)
}}
"""

# Names: h, w are the sides of the maps, H, W those of the photo; `rows` [H, h] and `columns` [w, W] enlarge bilinearly.
COMPOSITE = """
<ir_version: 10, opset_import: ["" : {opset}]>
composite (float[batch, 3, height, width] photo, float[batch, 8, {h}, {w}] maps)
    => (float[batch, 3, height, width] image)
<
    int64 zero = {{0}}, int64 one = {{1}}, int64 two = {{2}}, int64 three = {{3}}, float half = {{0.5}},
    float unit = {{1}}, float double = {{2}}, float lowest = {{0}}, float black = {{-1}},
    float h = {{{h}}}, float w = {{{w}}}, float last_h = {{{last_h}}}, float last_w = {{{last_w}}},
    int64 h_count = {{{h}}}, int64 w_count = {{{w}}},
    int64[1] axis_0 = {{0}}, int64[1] axis_1 = {{1}}, int64[1] one_row = {{1}}, int64[1] pair = {{2}},
    int64[1] flat = {{-1}}, int64[3] parts = {{2, 3, 3}}, int64[3] flow_rows = {{-1, {h}, {double_w}}},
    float[1, 2] only_x = {{1, 0}}, float[1, 2] only_y = {{0, 1}}, float[1, 2] far_x = {{1e6, 0}},
    float[1, 2] far_y = {{0, 1e6}},
    {strip_constants}
>
{{
    shape = Shape (photo)
    batch_count = Gather (shape, axis_0)
    H_count = Gather (shape, two)
    W_count = Gather (shape, three)
    H = Cast <to = 1> (H_count)
    W = Cast <to = 1> (W_count)

    y_count = Range (zero, H_count, one)
    y_number = Cast <to = 1> (y_count)
    y_centre = Add (y_number, half)
    h_by_H = Div (h, H)
    y_scaled = Mul (y_centre, h_by_H)
    y_free = Sub (y_scaled, half)
    y_source = Clip (y_free, lowest, last_h)
    y_column = Unsqueeze (y_source, axis_1)
    h_number_count = Range (zero, h_count, one)
    h_number = Cast <to = 1> (h_number_count)
    y_signed = Sub (y_column, h_number)
    y_distance = Abs (y_signed)
    y_weight = Sub (unit, y_distance)
    rows = Relu (y_weight)

    x_count = Range (zero, W_count, one)
    x_number = Cast <to = 1> (x_count)
    x_centre = Add (x_number, half)
    w_by_W = Div (w, W)
    x_scaled = Mul (x_centre, w_by_W)
    x_free = Sub (x_scaled, half)
    x_source = Clip (x_free, lowest, last_w)
    w_number_count = Range (zero, w_count, one)
    w_number_row = Cast <to = 1> (w_number_count)
    w_number = Unsqueeze (w_number_row, axis_1)
    x_signed = Sub (x_source, w_number)
    x_distance = Abs (x_signed)
    x_weight = Sub (unit, x_distance)
    columns = Relu (x_weight)

    pixel_h = Div (double, H)
    y_from_0 = Mul (y_centre, pixel_h)
    y_row = Sub (y_from_0, unit)
    y_place = Unsqueeze (y_row, axis_1)
    pixel_w = Div (double, W)
    x_from_0 = Mul (x_centre, pixel_w)
    x_row = Sub (x_from_0, unit)
    x_place = Unsqueeze (x_row, axis_1)

    flow, gain_low, bias_low = Split <axis = 1> (maps, parts)
    x_source_place = Unsqueeze (x_source, axis_1)
    x_flow_pairs = Add (x_source_place, far_y)
    x_flow_source = Reshape (x_flow_pairs, flat)
    x_flow_signed = Sub (x_flow_source, w_number)
    x_flow_distance = Abs (x_flow_signed)
    x_flow_weight = Sub (unit, x_flow_distance)
    x_flow_columns = Relu (x_flow_weight)
    y_flow_pairs = Add (x_source_place, far_x)
    y_flow_source = Reshape (y_flow_pairs, flat)
    y_flow_signed = Sub (y_flow_source, w_number)
    y_flow_distance = Abs (y_flow_signed)
    y_flow_weight = Sub (unit, y_flow_distance)
    y_flow_columns = Relu (y_flow_weight)
    columns_twice = Concat <axis = 0> (x_flow_columns, y_flow_columns)
    flow_across = Transpose <perm = [0, 2, 1, 3]> (flow)
    flow_line = Reshape (flow_across, flow_rows)
    flow_wide = MatMul (flow_line, columns_twice)
    x_pairs = Mul (x_place, only_x)
    x_line = Reshape (x_pairs, flat)
    grid_wide = Add (flow_wide, x_line)
    W_row = Unsqueeze (W_count, axis_0)
    pair_shape = Concat <axis = 0> (W_row, pair)
    y_pairs = Expand (only_y, pair_shape)
    y_line = Reshape (y_pairs, flat)
    y_shape = Concat <axis = 0> (batch_count, one_row, one_row)
    y_lines = Expand (y_line, y_shape)
    grid_low = Concat <axis = 1> (grid_wide, y_lines)
    rows_and_y = Concat <axis = 1> (rows, y_place)
    grid_free = MatMul (rows_and_y, grid_low)

    sides_W = Unsqueeze (W, axis_0)
    sides_H = Unsqueeze (H, axis_0)
    sides = Concat <axis = 0> (sides_W, sides_H)
    margin = Div (unit, sides)
    limit_pair = Sub (unit, margin)
    limit_pairs = Expand (limit_pair, pair_shape)
    upper = Reshape (limit_pairs, flat)
    lower = Neg (upper)
    grid_below = Min (grid_free, upper)
    grid_line = Max (grid_below, lower)
    H_row = Unsqueeze (H_count, axis_0)
    grid_shape = Concat <axis = 0> (flat, H_row, W_row, pair)
    grid = Reshape (grid_line, grid_shape)
{strips}

    gain_wide = MatMul (gain_low, columns)
    gain = MatMul (rows, gain_wide)
    bias_wide = MatMul (bias_low, columns)
    bias = MatMul (rows, bias_wide)
    lit = Mul (warped, gain)
    image_free = Add (lit, bias)
    image = Clip (image_free, black, unit)
}}
"""

DRAW = """
<ir_version: 10, opset_import: ["" : {opset}]>
draw (float[batch, 3, height, width] photo, float[batch, 12, {h}, {w}] raw) => (float[batch, 3, height, width] image)
<float black = {{-1}}, float white = {{1}}>
{{
    low = DepthToSpace <blocksize = 2, mode = "CRD"> (raw)
    size = Shape <start = 2> (photo)
    image_free = Resize <mode = "linear", axes = [2, 3]> (low, , , size)
    image = Clip (image_free, black, white)
}}
"""


def downsample(resolution: int, opset: int) -> onnx.ModelProto:
    """`photo` [N, 3, H, W] to `low` [N, 3, r, r], antialiased."""
    return onnx.parser.parse_model(DOWNSAMPLE.format(opset=opset, side=resolution))


def composite(side: int, opset: int) -> onnx.ModelProto:
    """`photo` [N, 3, H, W] and `maps` [N, 8, side, side] to `image`, clamped to [-1, 1]."""
    sizes = {"h": side, "w": side, "last_h": side - 1, "last_w": side - 1, "double_w": 2 * side}
    constants, strips = _strips("linear" if opset >= OPSET_OF_LINEAR else "bilinear")
    return onnx.parser.parse_model(COMPOSITE.format(opset=opset, strip_constants=constants, strips=strips, **sizes))


def _strips(bilinear: str) -> tuple[str, str]:
    """Constants and nodes that make `warped` from `photo` and `grid`, one strip of rows after the other.

    ONNX Runtime's GridSample first writes down its plan, 56 bytes a pixel; that of a strip stays in the cache.
    """
    constants = [f"int64[1] part_{cut} = {{{cut}}}" for cut in range(STRIPS + 1)]
    lines = []
    for cut in range(STRIPS + 1):
        lines += [f"cut_{cut}_times = Mul (H_row, part_{cut})", f"cut_{cut} = Div (cut_{cut}_times, part_{STRIPS})"]
    for strip in range(STRIPS):
        lines.append(f"grid_{strip} = Slice (grid, cut_{strip}, cut_{strip + 1}, axis_1)")
        how = f'<mode = "{bilinear}", padding_mode = "zeros", align_corners = 0>'
        lines.append(f"warped_{strip} = GridSample {how} (photo, grid_{strip})")
    lines.append(f"warped = Concat <axis = 2> ({', '.join(f'warped_{strip}' for strip in range(STRIPS))})")
    return ", ".join(constants), "    " + "\n    ".join(lines)


def draw(side: int, opset: int) -> onnx.ModelProto:
    """`photo`, of which only the size counts, and `raw` [N, 12, side, side] to `image`, clamped to [-1, 1]."""
    return onnx.parser.parse_model(DRAW.format(opset=opset, h=side, w=side))


def surround(core: onnx.ModelProto, resolution: int, opset: int) -> onnx.ModelProto:
    """The whole student: `photo` [N, 3, H, W] to `image`, from a core that maps `photo` to `maps` or to `raw`."""
    output = core.graph.output[0].name
    last = composite(resolution // 2, opset) if output == "maps" else draw(resolution // 2, opset)
    first = onnx.compose.add_prefix(downsample(resolution, opset), "down/")
    middle = onnx.compose.add_prefix(core, "core/")
    last = onnx.compose.add_prefix(last, "up/")
    joined = onnx.compose.merge_models(first, middle, [("down/low", "core/photo")])
    whole = onnx.compose.merge_models(joined, last, [(f"core/{output}", f"up/{output}")])
    return _one_photo(whole)


def _one_photo(model: onnx.ModelProto) -> onnx.ModelProto:
    """Join the two inputs for the photo, and give inputs, outputs and free sizes their plain names."""
    plain = {"down/photo": "photo", "up/photo": "photo", "up/image": "image"}
    graph = model.graph
    for node in graph.node:
        node.input[:] = [plain.get(name, name) for name in node.input]
        node.output[:] = [plain.get(name, name) for name in node.output]
    photo, image = graph.input[0], graph.output[0]
    del graph.input[1:], graph.value_info[:]
    for value, name in ((photo, "photo"), (image, "image")):
        value.name = name
        for dim, size in zip(value.type.tensor_type.shape.dim, ("batch", 3, "height", "width")):
            dim.Clear()
            setattr(dim, "dim_param" if isinstance(size, str) else "dim_value", size)
    return model
