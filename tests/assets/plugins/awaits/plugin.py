import asyncio

import nxkernel as nx

hookimpl = nx.HookimplMarker("zoo")


async def double(value):
    await asyncio.sleep(0)
    return 2 * value


class Plugin:
    def __init__(self, context):
        self.context = context

    @hookimpl
    async def act(self, value):
        if value == "raise":
            raise ValueError("inside a coroutine")
        if value == "ask":
            return self.context.call("ask_c", value=[])
        return await asyncio.gather(*(double(each) for each in value))

    @hookimpl
    async def echo(self, value):
        return value
