"""One hook call, from its order to its result, without any I/O.

``effects`` says what a call waits for, ``stack`` runs the middleware around one invocation,
``executor`` runs pluggy's order over all providers, ``tasks`` steps many such generators at once,
and ``drivers`` does the waiting: one blocks, one belongs to asyncio.
"""
