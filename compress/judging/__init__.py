"""Measuring an exported file against its teacher, and judging it by gates.

admission, candidate, signature, runtimes   any ONNX file as something that draws
testset, facts, variants, judges            what it is tested on, who is in it, and the networks that judge
description, evaluation, steadying, groups  numbers of still pictures, of what moves, of people
metrics                                     the measures themselves: pure functions over arrays
assessment, assessment_rows, assessment_table  a teacher on photographs and renders, in each style
cost, peak_memory                           numbers of the file
measuring                                   all of it on one student
gate_table, gates, verdict                  what is judged, how, and its published form
defects, noise_floors, proposals, calibration   proof that the gates work, and where bounds come from
"""
