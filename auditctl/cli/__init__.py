"""The command line: arguments -> one operation -> print the report -> exit. The only wing that prints."""
