"""Polars: the distinct rows of all CSV files of a folder as one CSV file, in the order of the input or in any order."""

import sys
from pathlib import Path

import polars

folder, output, order = sys.argv[1:]
table = polars.scan_csv(sorted(Path(folder).glob("*.csv")), null_values=["NA"])
if order == "ordered":
    table.unique(keep="first", maintain_order=True).sink_csv(output)
else:
    table.unique(keep="any", maintain_order=False).sink_csv(output, maintain_order=False)
