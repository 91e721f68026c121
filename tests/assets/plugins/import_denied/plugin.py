import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")

USERS = open("/etc/passwd").read()


@hookimpl
def echo(value):
    return value
