"""Serve from a Ray cluster of three nodes under load, kill a node, and compare every text with the undisturbed one.

Example:
    python tools/try_ray_workers.py artifacts/demo --audio export/demo/recordings/date.flac

The nodes are Ray's own, all on this machine (`ray.cluster_utils`), each with one processor and room for one worker.
Streams speak at the pace of speech. After a third of the time a node ends with all its processes, by SIGKILL; after two
thirds another node joins, and its worker takes part of the load. Exit status 1 where a text is wrong or missing.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from chaos import alone, pauses, serving

from emf.runtime.speech.recordings import read_recordings
from emf.serve.load.call import Server
from emf.serve.load.clients import CLIENTS, address
from emf.serve.load.loading import run_load

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

from ray.cluster_utils import Cluster

NODES = 3


async def disturb(cluster: Any, node: Any, seconds: float) -> None:
    """Kill the node, and later have another one join."""
    await asyncio.sleep(seconds / 3)
    await asyncio.to_thread(cluster.remove_node, node, allow_graceful=False)
    await asyncio.sleep(seconds / 3)
    cluster.add_node(num_cpus=1, wait=False)  # Ray begins nodes in the main thread alone


async def trial(flags: argparse.Namespace, cluster: Any, node: Any) -> dict[str, Any]:
    """The load, disturbed."""
    client = CLIENTS[flags.protocol]
    recordings = read_recordings(flags.audio, client().sample_rate, flags.max_seconds)
    arguments = [str(flags.artifact), "--workers", flags.workers, "--worker-timeout", "3"]
    with serving([*arguments, "--max-streams", str(4 * flags.streams), "--deadline-ms", "1000"]) as (url, _):
        server = Server(address(url, client().path), {}, client)
        undisturbed = await alone(server, recordings)
        disturbing = asyncio.create_task(disturb(cluster, node, flags.seconds))
        load = await run_load(server, recordings, undisturbed, flags.streams, flags.seconds)
        await disturbing
        moves = pauses(url)
    figures = load.figures()
    return {
        "protocol": flags.protocol,
        "streams": flags.streams,
        "recordings": figures.recordings,
        "wrong_text": figures.wrong_text,
        "failed": figures.failed,
        "refused": figures.refused,
        "reasons": dict(figures.reasons),
        **moves,
    }


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--audio", type=Path, nargs="+", required=True)
    parser.add_argument("--protocol", default="emf", choices=tuple(CLIENTS))
    parser.add_argument("--workers", default=f"ray:{NODES}")
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--max-seconds", type=float, default=60.0, help="of audio, over all recordings")
    flags = parser.parse_args()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(NODES - 1)]
        os.environ["RAY_ADDRESS"] = cluster.address
        found = asyncio.run(trial(flags, cluster, nodes[0]))
    finally:
        cluster.shutdown()
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return int(bool(found["wrong_text"] or found["failed"]))


if __name__ == "__main__":
    sys.exit(main())
