"""Estafette publishes posts on every channel of their owner, on time, once, and with a plan B.

The flow, and the files that show it::

    posts.py      accept a post: validate, idempotency key, store         POST /api/v1/posts
    plan.py       post + accounts + routes -> plan (pure)                 the preview uses it too
    deliveries.py one post to one account: the only thing with a state
    queue.py      the doorbell: an arq tick says "look at what is due around this moment"
    dispatch.py   arm due rows a little ahead (arming.py, clearance.py, rendering.py), fire each
                  on time (firing.py), complete in batches (completion.py)
    attempt.py    one attempt: last look, send, decide, record
    channels/     the adapter: an outcome comes back
    belated.py    an answer after its lease: what is published is not sent again, and it is told
    decide.py     outcome + history -> decision (pure): done, retry, reroute, hold, look
    retry.py      when next (pure)            reroute.py   which fallback account (pure)
    reconcile.py  unconfirmed deliveries are looked for before anything else
    campaigns.py  posts that follow one date (pure): mover.py moves them, recurring.py repeats them
    health.py     probes and visits; a page counts as gone only after a second confirmation
    plan_b.py     its queue takes another road: roads.py looks, gathering.py makes digests,
                  undo.py takes back, comeback.py catches up, drill.py rehearses
    teller.py     alerts reach people, once: by mail and by signed webhook

SQL is the truth, Redis is the doorbell: everything in Redis can be derived again from SQL, so
that losing it costs milliseconds, never a post. The claim, not the queue, is what makes a send
happen once.
"""

__version__ = "0.1.0"
