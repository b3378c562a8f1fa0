"""What a command writes: files (JSON and HTML, tables, figures), and tables in a terminal.

- `sheet`: tables on standard output, whatever its width.
- `files`: any file; `tables`: CSV or Parquet; `figures`: PNG, SVG or PDF.
- `file_lock`: keeps other processes from a file.

Each module of files has a check and a writer. A command calls the check before it works for minutes. The
writer writes the whole file or nothing. If a file cannot be written, both raise
`policies.bad_input.BadInput`.
"""
