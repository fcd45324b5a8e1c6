"""What a newsletter's own side can do so that its mails arrive: DNS, relay, the mail's form."""
