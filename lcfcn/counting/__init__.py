"""Count and locate objects on images with a trained network.

Start at `lcfcn.load`. The modules: `counter` (images in, results out), `result` (what was found), `folders` (many
files, tables, overlays), `image_files` (reading), `tiles` and `bands` (images of any size), `weight_files` and
`settings` (what a checkpoint says), `trained_network` and `onnx_network` (pixels to probabilities), `drawing`,
`exports`.
"""
