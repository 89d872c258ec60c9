"""Stateful Optax transformations for any chain; they need only Optax and the clock."""

from jaxsched.transforms.abel import ScaleByAbelState as ScaleByAbelState
from jaxsched.transforms.abel import scale_by_abel as scale_by_abel
from jaxsched.transforms.averaged import averaged_params as averaged_params
from jaxsched.transforms.averaged import keeps_average as keeps_average
from jaxsched.transforms.averaged import num_averaged as num_averaged
from jaxsched.transforms.averaging import AverageParamsState as AverageParamsState
from jaxsched.transforms.averaging import average_params as average_params
from jaxsched.transforms.gradient_noise import EstimateNoiseState as EstimateNoiseState
from jaxsched.transforms.gradient_noise import GradientNoise as GradientNoise
from jaxsched.transforms.gradient_noise import estimate_noise as estimate_noise
from jaxsched.transforms.gradient_noise import gradient_noise as gradient_noise
from jaxsched.transforms.plateau import ScaleByPlateauState as ScaleByPlateauState
from jaxsched.transforms.plateau import scale_by_plateau as scale_by_plateau
from jaxsched.transforms.swag import SwagState as SwagState
from jaxsched.transforms.swag import sample_swag as sample_swag
from jaxsched.transforms.swag import swag as swag
