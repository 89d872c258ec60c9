"""Finding the numbers: range tests, grids of short runs, and the recipe that they make."""

from jaxsched.tune.at_once import AtOnce as AtOnce
from jaxsched.tune.at_once import Choice as Choice
from jaxsched.tune.at_once import prepare as prepare
from jaxsched.tune.at_once import seconds_an_update as seconds_an_update
from jaxsched.tune.grid import Cell as Cell
from jaxsched.tune.grid import Grid as Grid
from jaxsched.tune.grid_report import write_grid_report as write_grid_report
from jaxsched.tune.grid_runs import GridRuns as GridRuns
from jaxsched.tune.held_out import held_out as held_out
from jaxsched.tune.judging import Result as Result
from jaxsched.tune.judging import Verdict as Verdict
from jaxsched.tune.judging import judge as judge
from jaxsched.tune.range_report import write_range_report as write_range_report
from jaxsched.tune.range_test import MOMENTUM_RANGE as MOMENTUM_RANGE
from jaxsched.tune.range_test import RangeTest as RangeTest
from jaxsched.tune.range_test import RangeTestRuns as RangeTestRuns
from jaxsched.tune.recipe import Recipe as Recipe
from jaxsched.tune.recipe import RecipeRuns as RecipeRuns
from jaxsched.tune.recipe_file import write_recipe as write_recipe
from jaxsched.tune.running import Runner as Runner
from jaxsched.tune.running import families as families
from jaxsched.tune.snapshot import Snapshots as Snapshots
from jaxsched.tune.values import with_value as with_value
