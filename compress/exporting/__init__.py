"""ONNX files of students: graphs, lowering, fused runtime, parity, cost of a graph."""
