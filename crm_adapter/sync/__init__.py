"""Bringing Timeweb into the rows: ask (`fetch`), decide (`planner`), write (`store`), as one run (`run`)."""
