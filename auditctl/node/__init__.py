"""What this machine shows, and every write: files, journal, processes, kubelet logs, the API server over HTTP, the receipt. Standard library only."""
