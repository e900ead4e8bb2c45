"""The benchmarks. Each module has

- `ROWS`: the numbers of rows that it measures by default; `[0]` where it has data of its own
- `PEERS`: the Python packages beside which it measures
- `TOOLS`: the programs that it needs, with their Debian packages
- `VERSIONS`: the programs whose versions belong to the results, with the argument that prints it
- `FEATURES`: the features of this project with which it is built
- `measure(session, folder, rows)`: runs it in an empty folder and returns its comparisons
"""
