"""The stages of a run: one module each, one public function `run(settings, inputs, folder, context)` each.

A stage reads the artifacts that it is given and writes into its own folder; it never imports another stage, reads no
YAML and knows nothing of run folders or keys (`compress.run` does).
"""
