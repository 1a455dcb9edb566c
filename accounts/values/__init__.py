"""Plain values that need no database: clients, device descriptions, and normalized names and email addresses."""
