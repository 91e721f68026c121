NAME = "the plugin's"


def fail():
    raise LookupError("in the helper")
