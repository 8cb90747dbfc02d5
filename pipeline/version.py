"""The version of this project, which checkpoints note and the package is built with."""

VERSION = "0.1.0"
