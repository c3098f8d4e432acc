"""Learners: one Lightning module for each way of learning."""

from lossbench.learners.denoising import Denoising as Denoising
from lossbench.learners.energy import Energy as Energy
from lossbench.learners.flow import Flow as Flow
from lossbench.learners.gan import GAN as GAN
from lossbench.learners.learner import Learner as Learner
from lossbench.learners.supervised import Supervised as Supervised
from lossbench.learners.vae import VAE as VAE
from lossbench.tasks.problem import Problem as Problem
