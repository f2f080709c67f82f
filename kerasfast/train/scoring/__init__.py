"""What an evaluation is made of: decisions, intervals, reports, tables, submission files, and what it refuses."""
