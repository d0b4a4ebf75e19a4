"""Raw videos to fused, tracked, scored segments: every stage of a recipe, skipping what is finished."""

import _recipe_job

if __name__ == "__main__":
    _recipe_job.run_recipe(__doc__, "full_pipeline", until="report")
