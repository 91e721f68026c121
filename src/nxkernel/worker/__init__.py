"""Everything that runs in the child process; nothing of the host side is ever loaded here.

``bootstrap`` is what the interpreter executes, ``zygote`` forks, ``child`` locks itself in,
``loader`` imports the plugin, ``runner`` serves its calls.
"""
