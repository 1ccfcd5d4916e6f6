"""Archives and reports for publication."""
