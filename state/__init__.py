"""The memory: event types, tiles, the columnar account store, its codec, the compiled kernel, alerts and read model as values.

Imports nothing of `streams`, and does no input or output: records in, values out (`state.partition.Partition`). This file
imports nothing, because most of the modules import numba, and where numba keeps compiled code must be decided before that
(`streams.kernel_cache`). So names are imported from their modules: `from state.partition import Partition`.
"""
