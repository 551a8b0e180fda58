"""The helpdesk: a port, its adapter for Zammad, and the webhook through which it tells of tickets."""
