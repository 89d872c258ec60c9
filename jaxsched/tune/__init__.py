"""Tunes hyper-parameters: range tests, grids of short runs, 1cycle recipes, the weight norm."""

from jaxsched.extras import require_extra

require_extra("jaxsched.tune", "tune", "matplotlib", "uniplot", "scipy")

from jaxsched.tune.execution.strategy import Execution as Execution
from jaxsched.tune.execution.strategy import prepare as prepare
from jaxsched.tune.execution.strategy import seconds_per_update as seconds_per_update
from jaxsched.tune.grid.grid import Cell as Cell
from jaxsched.tune.grid.grid import Grid as Grid
from jaxsched.tune.grid.ranking import Ranking as Ranking
from jaxsched.tune.grid.ranking import Result as Result
from jaxsched.tune.grid.ranking import rank_cells as rank_cells
from jaxsched.tune.grid.report import write_grid_report as write_grid_report
from jaxsched.tune.grid.runs import GridRuns as GridRuns
from jaxsched.tune.range_test.by_value import ValueCurves as ValueCurves
from jaxsched.tune.range_test.by_value import write_value_report as write_value_report
from jaxsched.tune.range_test.range_test import MOMENTUM_RANGE as MOMENTUM_RANGE
from jaxsched.tune.range_test.range_test import RangeTest as RangeTest
from jaxsched.tune.range_test.range_test import RangeTestRuns as RangeTestRuns
from jaxsched.tune.range_test.report import judged as judged
from jaxsched.tune.range_test.report import write_range_report as write_range_report
from jaxsched.tune.recipe.config_writer import refuse_existing as refuse_existing
from jaxsched.tune.recipe.config_writer import write_recipe as write_recipe
from jaxsched.tune.recipe.recipe import Recipe as Recipe
from jaxsched.tune.recipe.recipe import RecipeRuns as RecipeRuns
from jaxsched.tune.report import Report as Report
from jaxsched.tune.weight_norm.bounce import Bounce as Bounce
from jaxsched.tune.weight_norm.bounce import find_bounce as find_bounce
from jaxsched.tune.weight_norm.diagnosis import Diagnosis as Diagnosis
from jaxsched.tune.weight_norm.diagnosis import diagnose as diagnose
from jaxsched.tune.weight_norm.diagnosis import diagnosis_experiment as diagnosis_experiment
