"""Search the settings of a detector with Ray Tune and Optuna; earlier stages run where they are missing."""

import _recipe_job

if __name__ == "__main__":
    _recipe_job.run_recipe(__doc__, "sweep", until="search")
