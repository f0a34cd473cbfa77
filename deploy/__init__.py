"""Everything around the program: the local stack, containers, dashboards, runbooks."""
