import os
import time

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


class Plugin:
    def __init__(self, context):
        self.context = context
        self.asked = os.path.join(str(context.run_dir), "asked")

    def answer(self, value):
        way, *rest = value
        return getattr(self, f"do_{way}")(*rest)

    act = hookimpl(lambda self, value: self.answer(value), specname="act")
    first = hookimpl(lambda self, value: self.answer(value), specname="first")
    again = hookimpl(lambda self, value: self.answer(value), specname="again")

    @hookimpl
    def echo(self, value):
        return value

    def do_give(self, value):
        return value

    def do_for(self, plugin, own, others):
        """Do as *own* says if that is this plugin, else as *others* say."""
        return self.answer(own if plugin == self.context.plugin_id else others)

    def do_raise(self):
        raise ValueError("out of the ordinary")

    def do_odd(self):
        return object()

    def do_ask(self, value):
        return [value, self.context.call("ordered", value=value)]

    def do_draw(self):
        return str(len(os.urandom(3)))

    def do_try(self):
        try:
            open("/etc/passwd").close()
        except OSError:
            return "refused"

    def do_die(self):
        os._exit(3)

    def do_die_once(self):
        """Die when asked for the first time."""
        if os.path.exists(self.asked):
            return "once more"
        open(self.asked, "w").close()
        os._exit(3)

    def do_sleep(self, seconds):
        time.sleep(seconds)
        return "awake"

    def do_wait(self):
        """Until somebody puts a file beside the one that says so."""
        place = str(self.context.run_dir)
        open(os.path.join(place, "waits"), "w").close()
        while not os.path.exists(os.path.join(place, "go")):
            time.sleep(0.002)
        return "went"
