"""Losses of heads, and which head gets which."""

from kerasfast.train.losses.counts import ClassCounts as ClassCounts
from kerasfast.train.losses.counts import class_counts as class_counts
from kerasfast.train.losses.distribution_balanced import DistributionBalanced as DistributionBalanced
from kerasfast.train.losses.focusing import Asymmetric as Asymmetric
from kerasfast.train.losses.focusing import Focal as Focal
from kerasfast.train.losses.heads import DEFAULTS as DEFAULTS
from kerasfast.train.losses.heads import LOSSES as LOSSES
from kerasfast.train.losses.heads import bce as bce
from kerasfast.train.losses.heads import categorical as categorical
from kerasfast.train.losses.heads import head_losses as head_losses
from kerasfast.train.losses.heads import loss_callbacks as loss_callbacks
from kerasfast.train.losses.heads import needs_counts as needs_counts
from kerasfast.train.losses.masking import PartialLabelMasking as PartialLabelMasking
from kerasfast.train.losses.masking import RatioUpdates as RatioUpdates
from kerasfast.train.losses.weighted import ClassBalanced as ClassBalanced
from kerasfast.train.losses.weighted import WeightedBinaryCrossentropy as WeightedBinaryCrossentropy
