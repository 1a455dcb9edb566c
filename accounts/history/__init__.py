"""Security events: the log line, the entry in the user's history, and the email to the owner.

Entry point: `events.record`. Emails are rendered in `mail` and sent by the workers of `background`. No rule about
accounts or sessions is decided here.
"""
