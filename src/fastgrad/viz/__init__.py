"""To see derivatives: explanations and tables of a reverse sweep, drawings, and a page to step through it."""
