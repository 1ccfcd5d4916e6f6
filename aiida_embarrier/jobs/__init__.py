"""The language that the AiiDA half and the worker both speak: schemas of jobs and results, file names, statuses."""
