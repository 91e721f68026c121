"""The way of a row from the call that it tells of into the database.

``frames`` are what is appended, ``segments`` the files that they are appended to, ``slots`` the
calls in flight; ``spool`` puts the three together for the kernel that writes. ``folder`` knows the
names, ``remains`` reads what a kernel has left, ``drainer`` takes it into the database.
"""
