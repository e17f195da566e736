"""The server's log: lines for people, or JSON objects. Neither keys nor transcripts are ever logged."""

import json
import logging
import time

from emf.runtime.commands.terminal import MessageHandler, one_line


class JsonFormatter(logging.Formatter):
    """One JSON object a message."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        document = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": one_line(record.getMessage()),
        }
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, ensure_ascii=False)


def log_as_json(level: int) -> None:
    """Write the log as JSON to standard error."""
    handler = MessageHandler()
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
