"""Raw predictions of every member of a recipe; earlier stages run where they are missing."""

import _recipe_job

if __name__ == "__main__":
    _recipe_job.run_recipe(__doc__, "predict", until="predict")
