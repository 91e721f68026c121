"""The same work by nxkernel and by what a user would pick instead.

Each contender runs in a process of its own, so that nobody's threads, forks or imports are in
another's way; the referee lets them take turns. ``requirements.txt`` names what the peers need.
"""
