"""The command `serve`: a model over HTTP."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from recengine.cli.arguments import Commands, add_data_command, whole_number
from recengine.cli.common import load_data, read_settings, train_or_find
from recengine.cli.reporter import Reporter
from recengine.errors import BadInput
from recengine.evaluation.policy import EvaluationPolicy
from recengine.experiments.model_folder import ModelFolder
from recengine.models.registry import DEFAULT


def add_commands(commands: Commands) -> None:
    """Declare `serve`."""
    text = "serve a model over HTTP: lists for known and new users, similar items; /docs describes it"
    command = add_data_command(commands, "serve", serve, text, default=DEFAULT)
    command.add_argument("--host", default="127.0.0.1", metavar="H", help="0.0.0.0 for every address of the machine")
    command.add_argument("--port", type=whole_number(0), default=8000, metavar="P")


def serve(options: argparse.Namespace, report: Reporter) -> None:
    if find_spec("fastapi") is None or find_spec("uvicorn") is None:
        remedy = "install it with `pip install 'recengine[serve]'`"
        raise BadInput("serve", remedy=remedy, problem="needs FastAPI and uvicorn, which are not installed")
    import uvicorn

    from recengine.serving.http import create_app

    opened: ModelFolder | None = options.opened
    if opened is None or "dataset" in options._given:
        data = load_data(options, report)
        trained = train_or_find(options, report, data, options.model, read_settings(options.set))
        policy = EvaluationPolicy() if opened is None else opened.policy
        opened = ModelFolder(trained.folder, trained.model, trained.manifest, data, options.positive, policy)
    report.note(f"Serving {opened.model.name} at http://{options.host}:{options.port}; its page is /docs")
    uvicorn.run(create_app(opened), host=options.host, port=options.port, log_level="warning", access_log=False)
