"""Fitting a model's probabilities to what happened: shrunk towards what people set, judged on what it has not seen."""
