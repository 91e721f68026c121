"""Append-only evidence of every call: who was asked, with what digest, and how it ended.

``schema`` names tables and columns, ``chain`` links rows, ``rows`` turns calls into columns;
``writer`` and ``log`` write, ``reader`` and ``verification`` read. Neither side imports the other,
so that a fault of the writer cannot hide itself from the verifier. The format is published in
``contracts/audit``.
"""
