"""What a session does: the manager, the supervisors, the context, the orchestrator."""
