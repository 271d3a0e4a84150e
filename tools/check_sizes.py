#!/usr/bin/env python3
"""Hints, never errors: C++ files that have grown so long that there may be two ideas in them."""
import os
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINES_MAX = {".hpp": 250, ".h": 250, ".cpp": 500, ".c": 500}

names = subprocess.run(["git", "-C", ROOT, "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()
for name in names:
    ending = os.path.splitext(name)[1]
    path = os.path.join(ROOT, name)
    if ending not in LINES_MAX or not os.path.exists(path):
        continue
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = sum(1 for _ in file)
    if lines > LINES_MAX[ending]:
        print(f"hint: {name} has {lines} lines (comfortable: up to {LINES_MAX[ending]}); are there two ideas in it?")
