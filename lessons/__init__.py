"""What the notebooks need beyond their text: a folder for each lesson, and one for all of them.

A lesson predicts, simulates with sliders, explains by a formula, confirms on the real proxy, checks
the student's answers, and says where the model breaks. The logic is here, where it is tested; a
notebook holds only what the student reads.

- `kit`: what several lessons use. Read it first.
- `predict_then_confirm`, `balancing`, `trust`, `forward`, `not_only_http`, `caching`: lessons 1 to 6.

A notebook imports names from these folders only: ``from lessons.kit import Predictions``. No lesson
imports another.
"""
