"""Many runs of one architecture that train as one."""
