"""The loops that drive it all: training, evaluation, prediction."""
