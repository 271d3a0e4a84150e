"""Judges every value of standard_cases.json by the reference validator: one line "valid" or "invalid" for each.
usage: standard_verdicts.py CASES MANIFEST_SCHEMA"""
import json
import sys

from jsonschema import Draft202012Validator

with open(sys.argv[1], encoding="utf-8") as file:
    cases = json.load(file)
with open(sys.argv[2], encoding="utf-8") as file:
    manifest = json.load(file)
for group in cases:
    schema = manifest if group["schema"] == "manifest" else group["schema"]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for value in group["values"]:
        print("valid" if validator.is_valid(value) else "invalid")
