"""What people may ask of plans, runs and steps. Each function checks, writes and records in one transaction."""
