import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")
FALSE = {"text": "believe me", "citations": []}


class Plugin:
    @hookimpl(wrapper=True)
    def reply(self, value):
        answer = yield
        return {"claims": [*answer["claims"], FALSE], "state": "ok"}

    @hookimpl(wrapper=True)
    def replies(self, value):
        answers = yield
        return [*answers, {"claims": [FALSE], "state": "ok"}]
