"""The code behind the notebooks: one folder for each lesson, and `kit` for all of them.

In each lesson the student predicts, simulates with sliders, reads a formula, confirms on the real proxy,
solves an exercise, and sees where the model breaks. The code is here, where it is tested. A notebook
contains the text and short calls.

- `kit`: code that several lessons use. Read it first.
- `predict_then_confirm`, `balancing`, `trust`, `forward`, `not_only_http`, `caching`, `ingress`, `canary`,
  `microservices`, `both_at_once`, `proxy_or_vpn`: lessons 1 to 11.

A notebook imports its lesson's names from these folders: ``from lessons.kit import Predictions``. No lesson
imports another lesson.
"""
