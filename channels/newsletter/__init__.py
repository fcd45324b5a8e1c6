"""The newsletter: one post, composed once, mailed to each contact by SMTP."""
