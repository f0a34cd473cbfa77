"""The benchmark: workload W1 through a real worker process on the embedded stack, and what to compare it with.

Nothing here is used by a worker; everything here may use everything else.
"""
