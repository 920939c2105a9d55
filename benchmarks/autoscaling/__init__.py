"""`make bench-autoscaling`: the scaling policy in virtual time, beside Dask's Adaptive, KEDA's rule, and a lower bound.

The workers are Fargate's: ready 20 to 60 s after their start, billed from the start by the second, and for at least a
minute. The scheduler is Dask's: a worker has one task at a time, and the work is estimated from the mean durations of
the task types (the latest run has half the weight).

Read in this order: world.py, simulation.py, policies.py and keda.py, traces.py and unseen.py, bound.py, comparison.py.
"""
