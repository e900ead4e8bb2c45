"""DuckDB: the distinct rows of all CSV files of a folder as one CSV file, in any order."""

import sys

import duckdb

folder, output = sys.argv[1:]
duckdb.sql("SET preserve_insertion_order = false")
duckdb.sql(
    f"COPY (SELECT DISTINCT * FROM read_csv('{folder}/*.csv', nullstr = ['', 'NA'])) TO '{output}' (HEADER)"
)
