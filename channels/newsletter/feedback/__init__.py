"""What mail providers tell of the mails they carried for us: their webhooks, as receipts.

Each provider is a module with `verified` and `receipts`. Its words are turned by a table into the
status of RFC 3463 that a bounce would have carried, so that both come to the same.
"""
