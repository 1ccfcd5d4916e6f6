"""Result files to nodes and exit codes."""
