"""The concerns that an embedder may put around every call, each in a module of its own.

Outermost first, as ``nx.standard_stack`` returns them: ``audit`` puts the call on record,
``policy`` decides whether it may be made, ``breaker`` refuses a plugin that keeps failing,
``contracts`` checks arguments and results, ``determinism`` derives the call's seed. None of them
knows another; the protocol they share is :class:`nxkernel.dispatch.stack.Middleware`.
"""
