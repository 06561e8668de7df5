"""To see derivatives: explanations and tables of a reverse sweep."""
