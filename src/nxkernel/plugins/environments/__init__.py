"""Environments: a plugin's own interpreter and libraries, built by a command and never at run time.

``requirements`` reads what a manifest asks for, ``request`` is what it asks for. ``interpreters``
finds Pythons that really run; ``identity`` is what each of them is asked. ``tools`` are uv and
pip; ``build`` has one of them fill a virtual environment, ``tree`` takes out what no distribution
owns, hashes what is left and closes it to writing. ``store`` keeps environments and their records,
and checks every byte before one is used.
"""
