"""The API server: HTTPS client, credentials, process, metrics, probe, receipt, trial start."""
