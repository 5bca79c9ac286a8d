"""A comparison job: methods and schedules on one data set, noise and budget, paired by seed."""
