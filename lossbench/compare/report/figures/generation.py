"""The pictures of generated samples: images, or points."""

from lossbench.compare.report.figures.autoencoding import generated
from lossbench.compare.report.figures.points import critic_surfaces, densities, generated_points

PICTURES = (generated, generated_points, densities, critic_surfaces)
"""What the report shows of the task, in this order; each returns no picture where it has nothing to show."""
