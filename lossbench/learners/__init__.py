"""Learners: one Lightning module for each way of learning."""

from lossbench.learners.supervised import Supervised as Supervised
