"""Embedded Kafka and Redis: no Docker, no installed Java, no root. Knows nothing of scoring, state or streams."""

from deploy.local.processes import Server, StackError
from deploy.local.stack import Addresses, Stack, down, status, up

__all__ = ["Addresses", "Server", "Stack", "StackError", "down", "status", "up"]
