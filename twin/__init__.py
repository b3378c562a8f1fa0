"""Confront the twins: calibrate, run both on the same requests, compare, and say what came true."""
