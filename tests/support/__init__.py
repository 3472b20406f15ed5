"""Helpers of the Python tests: private servers, the engine as a process, and independent readers.

Nothing here uses code of the engine: what it wrote is read back with boto3, psycopg, zstandard and
the standard library alone.
"""
