"""Search a detector, refiner or classifier with Ray Tune and Optuna; earlier stages run where missing."""

import _recipe_job

if __name__ == "__main__":
    _recipe_job.run_recipe(__doc__, "sweep", until="search")
