"""The arithmetic: model files, curves, health, trajectory, propensities, bands, rules, reasons.

Imports nothing of `state` or `streams`, and knows no account, topic or clock: numbers in, numbers out. This file imports
nothing, because half of the modules import numba, and where numba keeps compiled code must be decided before that
(`streams.kernel_cache`). So names are imported from their modules: `from scoring.presets import load_model`.
"""
