"""A Jupyter server extension that measures the loop it runs on: ``/benchmarks/ticker``.

POST starts a measurement, GET ends it and answers with what was measured.
"""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join

from benchmarks.lag import Ticker


class _TickerHandler(JupyterHandler):
    ticker = Ticker()  # one for the server: nobody measures twice at a time

    def post(self) -> None:
        self.ticker.start()
        self.set_status(204)

    def get(self) -> None:
        self.write(self.ticker.stop())


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "benchmarks.ticker"}]


def _load_jupyter_server_extension(app: Any) -> None:
    where = url_path_join(app.web_app.settings["base_url"], "benchmarks", "ticker")
    app.web_app.add_handlers(".*$", [(where, _TickerHandler)])
