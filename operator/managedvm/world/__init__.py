"""Doing it: the only importers of the Kubernetes client, pyVmomi and sockets. Decides nothing."""
