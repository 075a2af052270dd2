"""The embedded data set: real films and a simulated audience."""
