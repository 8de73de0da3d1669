"""ganfp: tells whether real images were used to train the generator of synthetic images."""

__version__ = "0.1.0"
