import sys
from pathlib import Path

import hookspecs

import nxkernel as nx

run = nx.Run.create(sys.argv[1], seed=7)
kernel = nx.Kernel(
    "hello",
    specs=[hookspecs],
    run=run,
    plugins=nx.discover(Path(__file__).parent / "plugins"),
    middleware=nx.standard_stack(run),
    sandbox=nx.Sandbox(require="confined"),
)
with kernel:
    result = kernel.call("greet", name="Ada")
    print(result.value, "degraded" if result.degraded else "complete")
    for outcome in result:
        print(f"{outcome.plugin}: {outcome.error.code if outcome.error else 'ok'}")
