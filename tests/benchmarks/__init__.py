"""The measurements behind the budgets: ``.venv/bin/python -m tests.benchmarks [NAME]...``, from the project's folder."""
