"""The style of all figures: one colour for predictions, one for measurements."""

from __future__ import annotations

PREDICTED = "#2a6fb0"
MEASURED = "#e07b1f"
NEUTRAL = "#6b7280"
VERDICT = {"confirmed": "#1a7f4b", "refuted": "#b3261e", "inconclusive": "#8a6d00", "void": "#4b5563"}

TITLES = {
    "throughput_rps": "throughput, requests/s",
    "mean_ms": "mean, ms",
    "p50_ms": "p50, ms",
    "p95_ms": "p95, ms",
    "p99_ms": "p99, ms",
    "hit_ratio": "hit ratio",
    "fetch_rps": "fetches/s",
    "fetches_per_expiry": "fetches per expiry",
    "error_ratio": "error ratio",
}

STYLE = {
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "legend.frameon": False,
}
