"""From a recipe file to a plan: reading, checking, surveying what it names, estimating. Nothing heavy is imported."""
