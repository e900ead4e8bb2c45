"""pandas: the distinct rows of all CSV files of a folder as one CSV file, in the order of the input."""

import sys
from pathlib import Path

import pandas

folder, output = sys.argv[1:]
tables = [pandas.read_csv(path) for path in sorted(Path(folder).glob("*.csv"))]
pandas.concat(tables).drop_duplicates().to_csv(output, index=False)
