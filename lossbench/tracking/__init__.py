"""All that knows MLflow: one experiment for each problem, a parent run for each sweep, a child for each cell.

Lightning's own loggers are in `loggers.py`, written from records, and in `live.py`, told while a run trains.

The folders under `output_dir` are the record; MLflow shows it. So a tracking server that goes away in the middle of a
run costs a warning and not the run.
"""
