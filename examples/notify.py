"""Print how runs of a deployment end: python examples/notify.py SRC DST.

Registers a Webhook block and a deployment that notifies it, and prints the messages. In earnest the block has the URL
of a chat or a pager. Here it is a receiver of our own, so the example needs only a Prefect server
(PREFECT_API_URL) on this machine. Start a run from Prefect's pages, or in another terminal:

    prefect deployment run restore-archive/notified
"""

from __future__ import annotations

import argparse
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from prefect.blocks.webhook import Webhook

from flows.deployment.deploy import Deployment, run_deploy
from flows.options.request import location
from pipeline.config import RestoreJob


class Receiver(BaseHTTPRequestHandler):
    """Prints each message: the run's final state, its name, the reason, and its page."""

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print(f"{message['state']}: {message['run']} {message['message']} {message['url']}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log of requests."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("destination")
    arguments = parser.parse_args()
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        # a server calls private addresses only if the block allows it
        block = Webhook(url=f"http://127.0.0.1:{server.server_port}/", allow_private_urls=True)
        block.save("notify-example", overwrite=True)
        job = RestoreJob(source=location(arguments.source), destination=location(arguments.destination))
        run_deploy(Deployment(name="notified", job=job, notify="webhook/notify-example"))
        print("waiting for runs to end", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
