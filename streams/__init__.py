"""The shell: Faust app, transport, commits, recovery, projector, metrics, commands. It alone knows Kafka, Redis and the clock.

This file imports nothing, so that `bellwether --help` answers at once; names are imported from their modules.
"""
