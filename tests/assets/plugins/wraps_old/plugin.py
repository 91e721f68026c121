import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    @hookimpl(hookwrapper=True)
    def wrapped(self, value):
        outcome = yield
        if value != "raise":
            outcome.force_result(["old", outcome.get_result()])
