"""Files that a command writes: JSON and HTML, tables, figures.

- `files`: any file; `tables`: CSV or Parquet; `figures`: PNG, SVG or PDF.

Each has a check, which a command calls before minutes of work, and a writer, which writes the whole
file or nothing. A file that cannot be written raises `policies.bad_input.BadInput`.
"""
